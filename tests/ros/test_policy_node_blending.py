"""What the parameter ``chunk_blending`` makes of plans that contradict each other, as the safety stage is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from lrm_core.ros import qos
from lrm_msgs.action import RunEpisodes
from policy_bench import FAKE_REWARD, SAFETY, SIM, STEADY_POLICY, SWAY, SWAYING, K, PolicyBench, policy_bench
from ros_testing import free_domain

TASK = "put the red cube in the blue bowl"


@pytest.mark.parametrize(("blending", "sway"), [("none", SWAY), ("temporal_ensemble", 0.0)])
def test_overlapping_plans_are_blended_where_that_is_asked(tmp_path: Path, blending: str, sway: float) -> None:
    with free_domain() as domain, policy_bench(domain, tmp_path) as bench:
        proposals: list[JointTrajectory] = bench.topic(JointTrajectory, "proposed_command", qos.COMMAND)
        bench.start("sim", SIM, lockstep=True, seed=1)
        bench.start("safety", SAFETY, lockstep=True)
        bench.start("reward", FAKE_REWARD, lockstep=True, camera_noise=False, state_dir=tmp_path / "state")
        bench.start("policy", STEADY_POLICY, policy=SWAYING, chunk_blending=blending, lockstep=True, call_interval=K,
                    max_steps=4 * K, success_confirmations=0)  # fmt: skip
        bench.ready("sim", "safety", "reward", "policy")
        targets = proposed_in_an_episode(bench, proposals)
    assert len(targets) == 4 * K
    np.testing.assert_allclose(targets[:K], SWAY, atol=1e-6, err_msg="the first plan has nothing to be blended with")
    np.testing.assert_allclose(np.abs(targets[K:]), sway, atol=0.1 * SWAY)


def proposed_in_an_episode(bench: PolicyBench, proposals: list[JointTrajectory]) -> np.ndarray:
    """Targets (T,) of the base joint, rad."""
    handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, task=TASK)
    assert bench.result(handle, 60.0).termination_reason == "completed"
    return np.array([message.points[0].positions[0] for message in proposals])
