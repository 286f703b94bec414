"""An episode through everything: policy node, safety stage, driver, LeRobot's SO-101 on a simulated bus."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from driver_bench import DRIVER, write_robot
from lrm_core.robot import load_robot
from lrm_core.ros import qos
from lrm_msgs.action import RunEpisodes
from lrm_msgs.srv import Reset
from policy_bench import SAFETY, STEADY_POLICY, K, policy_bench
from ros_testing import free_domain

TASK = "put the red cube in the blue bowl"
SHARE, STEPS = 0.5, 30
PATIENT_S = 5.0
"""Stale for a busy machine too: what is late is not what is tested here."""


def test_an_episode_runs_through_the_safety_stage_and_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = write_robot(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    home = load_robot(str(robot)).home
    with free_domain() as domain, policy_bench(domain, tmp_path) as bench:
        bench.start(
            "driver", DRIVER, robot=robot, reset_speed=SHARE, scene_ready_timeout_s=60.0, command_timeout_s=PATIENT_S,
            camera_timeout_s=PATIENT_S,
        )  # fmt: skip
        bench.start(
            "safety", SAFETY, lockstep=False, robot=robot, command_timeout_s=PATIENT_S, joint_state_timeout_s=PATIENT_S,
            observation_timeout_s=PATIENT_S,
        )  # fmt: skip
        bench.start(
            "policy", STEADY_POLICY, lockstep=False, robot=robot, use_reward=False, call_interval=K, max_steps=STEPS,
            reset_timeout_s=120.0, camera_timeout_s=10.0, stamp_tolerance_s=0.5,
        )  # fmt: skip
        states: list[JointState] = bench.topic(JointState, "joint_states", qos.JOINT_STATES)
        commands: list[JointTrajectory] = bench.topic(JointTrajectory, "command", qos.COMMAND)
        proposals: list[JointTrajectory] = bench.topic(JointTrajectory, "proposed_command", qos.COMMAND)
        bench.until(lambda: states or bench.processes["driver"].exit_code is not None, 240.0, "the driver is up")
        bench.ready("safety", "policy")
        ready = bench.node.create_client(Trigger, "scene_ready")
        reset = bench.node.create_client(Reset, "reset")
        bench.until(lambda: ready.service_is_ready() and reset.service_is_ready(), 20.0, "the driver's services")

        handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=2, task=TASK)
        for _ in range(2):  # a reset leads home, then asks a person, and only then does the episode begin
            bench.until(lambda: bench.result_of(ready.call_async(Trigger.Request())).success, 60.0, "a person is asked")
            assert (np.abs(np.array(states[-1].position) - home)[:5] < 0.1).all()
        result = bench.result(handle, 60.0)
        assert result.termination_reason == "completed", result.message

        turned = np.array([state.position[0] for state in states])
        assert turned.max() > 0.1, "the policy turned the base"
        sent = np.array([one.points[0].positions for one in commands])
        fastest = load_robot(str(robot)).limits.velocity_max
        assert (np.abs(np.diff(sent, axis=0)) <= 0.15 * fastest + 1e-6).all(), "at most 1.5 periods of full speed"
        assert len(proposals) >= 2 * STEPS
        bench.node.destroy_client(ready)

        bench.kill("safety")
        done = bench.result_of(reset.call_async(Reset.Request(seed=-1)), 120.0, "the reset answers")
        assert not done.accepted, "without the safety stage nothing moves the arm"
        assert "does the safety stage run" in done.message
        bench.node.destroy_client(reset)
