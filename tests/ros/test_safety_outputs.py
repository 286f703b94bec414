"""The real safety process in front of each kind of controller: what reaches it is within limits, in its own form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.action import ActionServer
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from lrm_core.robot import load_robot, robot_path
from lrm_core.ros import qos, stamps
from policy_bench import SAFETY, start
from ros_testing import free_domain
from test_safety_node import ROBOT, Bench, running

SERVO_TOPIC = "servo_node/delta_twist_cmds"
HOME = load_robot("sim_arm").home


def written(folder: Path, text: str, *changes: tuple[str, str]) -> Path:
    """A robot file with some lines changed."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "robot.yaml"
    path.write_text(text)
    return path


def answers(bench: Bench, kind: Any, topic: str) -> list[Any]:
    messages = bench.topic(kind, topic, qos.COMMAND)
    bench.until(lambda: bench.node.count_publishers(topic), 20.0, f"a publisher of {topic}")
    return messages


def test_a_forward_command_has_the_joints_in_order_and_the_gripper_in_its_own_unit(tmp_path: Path) -> None:
    robot = written(
        tmp_path, ROBOT,
        ("kind: joint_trajectory, topic: command", "kind: forward_command, topic: arm/commands"),
        ("kind: in_command", "kind: in_command, opening_m: [0.0, 0.08], wire: [0, 100]"),
    )  # fmt: skip
    with running(tmp_path / "safety.log", robot, lockstep=True) as bench:
        arrays = answers(bench, Float64MultiArray, "arm/commands")
        own = bench.step((0.05, 0.05), measured=(0.0, 50.0))
        assert list(own.points[0].positions) == [0.05, 0.05]
        bench.until(lambda: arrays)
        assert list(arrays[-1].data) == pytest.approx([0.05, 62.5])
        bench.step((0.9, 0.05), measured=(0.03, 62.5))
        bench.until(lambda: len(arrays) == 2)
        assert list(arrays[-1].data) == pytest.approx([0.05 + 2.0 * 0.1, 62.5])
        bench.step((math.nan, 0.05), measured=(0.2, 62.5))
        bench.until(lambda: len(arrays) == 3)
        assert np.isfinite(list(arrays[-1].data)).all()


def test_a_trajectory_controller_gets_its_joints_at_once_and_the_gripper_its_own_topic(tmp_path: Path) -> None:
    robot = written(
        tmp_path, ROBOT,
        ("topic: command}", "topic: arm/joint_trajectory, stamp: zero}"),
        ("kind: in_command", "kind: forward_command, topic: hand/commands, opening_m: [0.0, 0.08], wire: [0.8, 0.0]"),
    )  # fmt: skip
    with running(tmp_path / "safety.log", robot, lockstep=True) as bench:
        arms = answers(bench, JointTrajectory, "arm/joint_trajectory")
        hands = answers(bench, Float64MultiArray, "hand/commands")
        own = bench.step((0.05, 0.06), measured=(0.0, 0.2))
        bench.until(lambda: arms and hands)
        assert list(arms[-1].joint_names) == ["joint"]
        assert list(arms[-1].points[0].positions) == [0.05]
        assert stamps.to_ns(arms[-1].header.stamp) == 0
        assert stamps.to_ns(own.header.stamp) == bench.stamp_ns
        assert list(hands[-1].data) == pytest.approx([0.2])


class ArmBench(Bench):
    """The simulated arm's joints."""

    names = load_robot("sim_arm").joint_names


@pytest.fixture
def servo_robot(tmp_path: Path) -> Path:
    return written(
        tmp_path, robot_path("sim_arm").read_text(),
        ("kind: joint_trajectory, topic: command", f"kind: twist_servo, topic: {SERVO_TOPIC}, linear_max_m_s: 0.05"),
        ("kind: in_command", "kind: forward_command, topic: hand/commands"),
    )  # fmt: skip


def test_a_servo_gets_a_capped_velocity_of_the_tool_and_zero_when_the_commands_stop(
    tmp_path: Path, servo_robot: Path
) -> None:
    with free_domain() as domain, ArmBench(domain) as bench:
        process = start(SAFETY, tmp_path / "safety.log", domain, robot=servo_robot, command_timeout_s=0.5)
        try:
            bench.ready()
            twists: list[TwistStamped] = answers(bench, TwistStamped, SERVO_TOPIC)
            away = HOME + np.array([0.1, 0, 0, 0, 0, 0])
            swings = lambda: linear(twists) is not None and np.linalg.norm(linear(twists)) > 0.01  # noqa: E731

            def drive() -> bool:
                now_ns = bench.now_ns()
                bench.measure(tuple(HOME), now_ns)
                bench.propose(tuple(away), now_ns)
                bench.run_for(0.1)
                return bool(swings())

            bench.until(drive, 20.0, "a velocity")
            assert twists[-1].header.frame_id == "base_link"
            turned = linear(twists)
            assert turned is not None
            assert turned[1] > 0.9 * np.linalg.norm(turned), "pan to the left moves the tool to +y"
            assert all(np.linalg.norm(_linear(twist)) <= 0.05 + 1e-9 for twist in twists)

            def silent() -> bool:
                bench.measure(tuple(HOME), bench.now_ns())
                bench.run_for(0.05)
                return all(not _linear(twist).any() for twist in twists[-3:])

            bench.until(silent, 20.0, "zero, again and again")
            assert "no command" in bench.statuses[-1].reason
        finally:
            process.stop()


def _linear(twist: TwistStamped) -> np.ndarray:
    return np.array([twist.twist.linear.x, twist.twist.linear.y, twist.twist.linear.z])


def linear(twists: list[TwistStamped]) -> np.ndarray | None:
    """The newest velocity."""
    return _linear(twists[-1]) if twists else None


@pytest.mark.parametrize(
    ("changes", "rate", "word"),
    [
        ([("topic: command}", "topic: arm/x, min_rate_hz: 100.0}")], 10.0, "at least the 100 Hz"),
        ([("kind: in_command", "kind: gripper_action, topic: hand"), ("topic: command", "topic: arm/x")], 10.0,
         "control_msgs"),
    ],
)  # fmt: skip
def test_a_robot_that_cannot_be_commanded_so_is_refused(
    tmp_path: Path, changes: list[tuple[str, str]], rate: float, word: str
) -> None:
    if word == "control_msgs":
        try:
            import control_msgs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("control_msgs is installed here: the gripper action is accepted")
    robot = written(tmp_path, ROBOT, *changes)
    with free_domain() as domain:
        process = start(SAFETY, tmp_path / "safety.log", domain, robot=robot, control_rate_hz=rate)
        assert process.wait(20.0) == 1
    assert word in process.output
    assert "Traceback" not in process.output


def test_a_gripper_action_gets_goals_in_its_own_unit_and_few_of_them(tmp_path: Path) -> None:
    """Against a real action server, where control_msgs is installed: there are no wheels of it."""
    actions = pytest.importorskip("control_msgs.action")
    robot = written(
        tmp_path, ROBOT,
        ("topic: command}", "topic: arm/joint_trajectory, stamp: zero}"),
        ("kind: in_command", "kind: gripper_action, topic: hand/gripper_cmd, opening_m: [0, 0.08], wire: [0.8, 0.0], "
         "max_effort: 20.0"),
    )  # fmt: skip
    goals: list[Any] = []

    def execute(handle: Any) -> Any:
        goals.append(handle.request.command)
        handle.succeed()
        return actions.GripperCommand.Result()

    with running(tmp_path / "safety.log", robot, lockstep=True) as bench:
        server = ActionServer(bench.node, actions.GripperCommand, "hand/gripper_cmd", execute)
        opening = 0.04

        def opens() -> bool:
            nonlocal opening
            opening = min(0.06, opening + 0.0005)
            bench.step((0.0, opening), measured=(0.0, 0.8 - 10 * opening))
            return bool(goals) and goals[-1].position == pytest.approx(0.2, abs=0.02)

        bench.until(opens, 20.0, "the gripper is told to open")
        assert goals[-1].max_effort == 20.0
        assert len(goals) <= 11, "a goal per 2 mm"
        server.destroy()
