"""A gripper may be stopped by what it holds, an arm joint may not: with the file of every shipped robot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lrm_core.robot import RobotContract, load_robot, robot_names
from lrm_core.safety import Cause, Decision, JointPositions, SafetyFilter, StageOptions, Verdict

PERIOD_NS = 100_000_000
OPTIONS = StageOptions(min_interval_s=0.05, max_interval_s=0.15, command_timeout_s=0.3, joint_state_timeout_s=0.5)
HELD_M = 0.055
SHUT_M = 0.0


@pytest.fixture(params=robot_names())
def robot(request: pytest.FixtureRequest) -> RobotContract:
    return load_robot(request.param)


class Gripping:
    """A robot at home that does as it is told, but its gripper does not close below ``HELD_M``."""

    def __init__(self, robot: RobotContract) -> None:
        self.robot, self.stage = robot, SafetyFilter(robot.limits, OPTIONS)
        self.arm, self.time_ns = robot.home.copy(), 10**12
        self.shut = np.append(robot.home[:-1], SHUT_M)

    def command(self, wanted: np.ndarray, pause_s: float = 0.0) -> Decision:
        self.time_ns += PERIOD_NS + round(1e9 * pause_s)
        state = JointPositions(self.robot.joint_names, tuple(self.arm), self.time_ns)
        command = JointPositions(self.robot.joint_names, tuple(wanted), self.time_ns)
        decision = self.stage.filter(command, state, self.time_ns)
        if decision.positions is not None:
            self.arm = decision.positions.copy()
            self.arm[-1] = max(self.arm[-1], HELD_M)
        return decision

    def close(self) -> Iterator[Decision]:
        return (self.command(self.shut) for _ in range(40))


def test_closing_on_something_wide_never_holds_the_arm(robot: RobotContract) -> None:
    gripping = Gripping(robot)
    assert {decision.verdict for decision in gripping.close()} <= {Verdict.PASS, Verdict.LIMIT}
    last = gripping.command(gripping.shut)
    assert (last.verdict, last.positions[-1]) == (Verdict.PASS, SHUT_M)


def test_an_arm_joint_that_does_not_follow_holds_the_arm_and_leaves_the_grip(robot: RobotContract) -> None:
    gripping = Gripping(robot)
    list(gripping.close())
    stuck = gripping.arm[1]
    for step in range(20):
        away = gripping.shut.copy()
        away[1] += 0.05 * (step + 1)
        decision = gripping.command(away)
        gripping.arm[1] = stuck
        if decision.cause is Cause.TRACKING:
            break
    assert decision.verdict is Verdict.HOLD
    assert robot.joint_names[1] in decision.reason
    for _ in range(20):
        decision = gripping.stage.hold(Cause.SILENCE, "no command", gripping.time_ns, None, gripping.time_ns)
        gripping.time_ns += PERIOD_NS
    window = robot.limits.velocity_max[1] * OPTIONS.tracking_window_s
    assert abs(decision.positions[1] - stuck) <= window, "it is met where it is"
    assert decision.positions[-1] == SHUT_M, "what it holds would fall"


def test_a_pause_of_the_commands_does_not_loosen_the_grip(robot: RobotContract) -> None:
    gripping = Gripping(robot)
    list(gripping.close())
    decision = gripping.command(gripping.shut, pause_s=1.0)
    assert decision.restarted
    assert decision.positions[-1] == SHUT_M
