"""The processes of a demo run: the shipped graph with the shipped parameter files and what this run sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.graph import LEARNER, POLICY, RECORDER, REWARD, SIM, Deployment, processes
from lrm_bringup.parameters import shipped
from lrm_bringup.processes import ProcessSpec
from lrm_bringup.start import process_specs


def demo_specs(options: DemoOptions, folder: Path, env: Mapping[str, str], demonstrations: Path) -> list[ProcessSpec]:
    """Commands of all processes, in starting order."""
    lockstep = options.speed == "lockstep"
    deployment = Deployment(
        parameters={
            "autostart": True,
            "use_sim_time": lockstep,
            "lockstep": lockstep,
            "model": options.model,
            "policy": options.policy,
        }
    )
    parameters: dict[str, dict[str, Any]] = {
        SIM.name: {"seed": options.seed, "task": options.task},
        REWARD.name: {"state_dir": str(folder / "state")},
        POLICY.name: {"exploration_seed": options.seed},
        LEARNER.name: {
            "seed": options.seed,
            "folder": str(folder / "checkpoints"),
            "demo_transitions": str(demonstrations),
            "reward_source": options.reward,
        },
        RECORDER.name: {"out_dir": str(folder / "bags")},
    }
    return process_specs(processes("sim", record=True), deployment, folder / "logs", env, parameters=parameters)


def success_threshold() -> float:
    """Completion score from which the policy node calls an episode successful."""
    return float(shipped(POLICY).success_threshold)
