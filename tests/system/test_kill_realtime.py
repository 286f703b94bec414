"""kill -9 of each process during a run: the arm stops safely, the process comes back, the run goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from lrm_core.ros import qos
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus, SafetyStatus
from policy_bench import FAKE_REWARD, SAFETY, SIM, STEADY_POLICY, K, PolicyBench
from ros_testing import free_domain

TASK = "put the red cube in the blue bowl"
POLICY = {
    "call_interval": K,
    "max_steps": 40,
    "success_confirmations": 0,
    "learner_sync": False,
    "reward_heartbeat_timeout_s": 1.0,
    "reward_timeout_s": 4.0,
}


class MovingArm(PolicyBench):
    """A real-time robot that is watched."""

    def __init__(self, domain: int, logs: Path) -> None:
        super().__init__(domain, logs)
        self.joints: list[JointState] = self.topic(JointState, "joint_states", qos.JOINT_STATES)

    def speed(self) -> float:
        """Largest joint speed of the newest joint state, rad/s."""
        return float(np.abs(np.array(self.joints[-1].velocity)).max()) if self.joints else math.nan

    def moving(self, deadline_s: float = 20.0) -> None:
        self.until(lambda: self.speed() > 0.05, deadline_s, "the arm moves")

    def held(self, deadline_s: float = 20.0) -> None:
        """The safety stage says that it holds, and the arm stands."""
        self.until(lambda: self.safety[-1].state == SafetyStatus.HOLDING, deadline_s, "the safety stage holds")
        self.until(lambda: self.speed() < 0.02, deadline_s, "the arm stands")

    def start_policy(self) -> None:
        self.start("policy", STEADY_POLICY, lockstep=False, **POLICY)

    def start_reward(self) -> None:
        self.start(
            "reward", FAKE_REWARD, lockstep=False, camera_noise=False, state_dir=self.logs / "state", deadline_s=2.0
        )

    def evaluate(self, episodes: int) -> object:
        return self.send(mode=RunEpisodes.Goal.EVALUATE, episodes=episodes, task=TASK)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovingArm]:
    with free_domain() as domain, MovingArm(domain, tmp_path_factory.mktemp("realtime")) as arm:
        try:
            arm.start("sim", SIM, lockstep=False, seed=1)
            arm.start("safety", SAFETY, lockstep=False)
            arm.start_reward()
            arm.start_policy()
            arm.ready("sim", "safety", "reward", "policy")
            yield arm
        finally:
            arm.close()


def test_a_whole_episode_runs_in_real_time(arm: MovingArm) -> None:
    begin_s = time.monotonic()
    result = arm.result(arm.evaluate(1))
    assert (result.termination_reason, result.episodes_done) == ("completed", 1)
    assert time.monotonic() - begin_s > 3.9, "40 steps at 10 Hz"
    last = [s for s in arm.episodes if s.episode_id == result.episode_ids[0]][-1]
    assert (last.step, last.termination_reason) == (40, "max_steps")


def test_a_killed_policy_node_leaves_a_held_arm_and_comes_back_idle(arm: MovingArm) -> None:
    arm.evaluate(5)
    arm.moving()
    arm.kill("policy")
    killed_s = time.monotonic()
    arm.until(lambda: arm.safety[-1].state == SafetyStatus.HOLDING, 10.0, "the safety stage holds")
    assert time.monotonic() - killed_s < 2.0
    assert arm.safety[-1].reason in ("no command for 0.3 s", "the process that commanded is gone")
    arm.held()
    shown = len(arm.episodes)
    arm.start_policy()
    arm.until(lambda: len(arm.episodes) > shown, 30.0, "the policy node is back")
    assert arm.episodes[-1].state == EpisodeStatus.IDLE
    arm.ready("policy")
    assert arm.result(arm.evaluate(1)).termination_reason == "completed"


def test_a_killed_reward_node_is_waited_for_with_the_arm_held(arm: MovingArm) -> None:
    handle = arm.evaluate(2)
    arm.moving()
    arm.kill("reward")
    arm.held()
    arm.until(lambda: arm.refinement[-1].waiting_for, 20.0, "the node says what it waits for")
    assert "reward" in arm.refinement[-1].waiting_for
    arm.start_reward()
    result = arm.result(handle, 90.0)
    assert (result.termination_reason, result.episodes_done) == ("completed", 2)


def test_a_killed_safety_stage_stops_the_commands_and_the_run_goes_on_when_it_is_back(arm: MovingArm) -> None:
    handle = arm.evaluate(2)
    arm.moving()
    arm.kill("safety")
    arm.start("safety", SAFETY, lockstep=False)
    result = arm.result(handle, 90.0)
    assert (result.termination_reason, result.episodes_done) == ("completed", 2)
