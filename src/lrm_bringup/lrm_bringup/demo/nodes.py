"""The processes of a demo run: the shipped graph with the shipped parameter files and what this run sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.graph import LEARNER, POLICY, RECORDER, REWARD, SAFETY, SIM, Deployment, NodeProcess, processes
from lrm_bringup.parameters import shipped
from lrm_bringup.processes import ProcessSpec
from lrm_bringup.start import process_specs


def demo_specs(options: DemoOptions, folder: Path, env: Mapping[str, str]) -> list[ProcessSpec]:
    """Commands of the processes that every phase needs, in starting order: all but the learner."""
    nodes = [node for node in processes("sim", record=True) if node is not LEARNER]
    return _specs(nodes, options, folder, env)


def learner_spec(options: DemoOptions, folder: Path, env: Mapping[str, str], demonstrations: Path | str) -> ProcessSpec:
    """The command of the learner; ``demonstrations`` empty: none.

    It starts after the first evaluation, which is of the base policy alone.
    """
    return _specs([LEARNER], options, folder, env, demonstrations)[0]


def _specs(
    nodes: Sequence[NodeProcess],
    options: DemoOptions,
    folder: Path,
    env: Mapping[str, str],
    demonstrations: Path | str = "",
) -> list[ProcessSpec]:
    lockstep = options.speed == "lockstep"
    parameters = {
        "autostart": True,
        "use_sim_time": lockstep,
        "lockstep": lockstep,
        "camera_noise": False,
        "model": options.model,
        "policy": options.policy,
    }
    own: dict[str, dict[str, Any]] = {
        SIM.name: {"seed": options.seed, "task": options.task},
        SAFETY.name: {"emergency_stop_file": "" if lockstep else str(folder / "emergency_stop")},
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
    return process_specs(nodes, Deployment(parameters=parameters, own=own), folder / "logs", env)


def success_threshold() -> float:
    """Completion score from which the policy node calls an episode successful."""
    return float(shipped(POLICY).success_threshold)
