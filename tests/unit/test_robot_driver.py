"""The driver's logic without ROS and LeRobot: units, calibrations, commands, lost devices."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.robot import LeRobotJointSpec, LeRobotSpec, load_robot
from lrm_core.safety import Cause, JointPositions, SlowLine
from lrm_robot_driver import calibration
from lrm_robot_driver.arm_loop import ArmLoop
from lrm_robot_driver.calibration import MotorRange
from lrm_robot_driver.commands import CommandGate, strangers
from lrm_robot_driver.connection import Connection, State
from lrm_robot_driver.device import DeviceThread
from lrm_robot_driver.units import UnitMap
from ros_testing import wait_until

ROBOT = load_robot("so101")
ARM = ROBOT.lerobot
assert ARM is not None
HOME, NAMES = ROBOT.home, ROBOT.joint_names
NOW_NS = 1_000_000_000_000
WHOLE = {motor: MotorRange(0, 4095, 4096) for motor in NAMES}

positions = st.tuples(*(st.floats(-3.0, 3.0) for _ in range(5)), st.floats(0.0, 0.08)).map(np.array)


@given(positions, st.sampled_from((1, -1)), st.floats(1e-4, 1.0), st.floats(-3.0, 3.0))
def test_units_convert_both_ways(wanted: np.ndarray, sign: int, scale: float, offset: float) -> None:
    joints = [replace(joint, sign=sign, scale=scale, offset=offset) for joint in ARM.joints]
    units = UnitMap(joints)
    np.testing.assert_allclose(units.positions(units.values(wanted)), wanted, atol=1e-9)


def test_the_shipped_arm_counts_in_degrees_and_percent() -> None:
    units = UnitMap(ARM.joints)
    values = units.values(np.array([math.pi / 2, 0.0, -math.pi / 4, 0.0, 0.0, 0.04]))
    assert values == pytest.approx(
        {"shoulder_pan": 90, "shoulder_lift": 0, "elbow_flex": -45, "wrist_flex": 0, "wrist_roll": 0, "gripper": 50}
    )


def test_a_motor_mounted_the_other_way_round_counts_the_other_way() -> None:
    joint = LeRobotJointSpec(name="a", motor="a", unit="degrees", sign=-1, scale=math.pi / 180, offset=1.0)
    assert UnitMap([joint]).positions({"a": 90.0})[0] == pytest.approx(1.0 - math.pi / 2)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_position_that_is_none_names_its_motor(value: float | None) -> None:
    values = UnitMap(ARM.joints).values(HOME)
    with pytest.raises(BadInput, match="elbow_flex"):
        UnitMap(ARM.joints).positions({**values, "elbow_flex": value})


def check(ranges: dict[str, MotorRange], arm: LeRobotSpec = ARM) -> None:
    calibration.check(arm, ranges, "calibration.json", ROBOT.limits)


def test_a_calibration_over_the_whole_range_is_taken() -> None:
    check(WHOLE)


def test_a_missing_calibration_names_the_command_that_makes_it() -> None:
    with pytest.raises(BadInput) as error:
        check({})
    command = "lerobot-calibrate --robot.type=so101_follower --robot.port=/dev/ttyACM0 --robot.id=so101"
    assert command in str(error.value)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (MotorRange(2000, 2020, 4096), "moved through its whole range"),
        (MotorRange(3000, 1000, 4096), "moved through its whole range"),
        (MotorRange(0, 9000, 4096), "moved through its whole range"),
        (MotorRange(1500, 2600, 4096), "narrow its position"),
    ],
)
def test_a_calibration_that_cannot_be_true_names_the_joint(found: MotorRange, said: str) -> None:
    with pytest.raises(BadInput, match="elbow_flex") as error:
        check({**WHOLE, "elbow_flex": found})
    assert said in str(error.value)
    assert "shoulder" not in str(error.value)


def test_a_motor_that_was_never_calibrated_is_named() -> None:
    with pytest.raises(BadInput, match="wrist_roll"):
        check({name: one for name, one in WHOLE.items() if name != "wrist_roll"})


def test_a_gripper_that_opens_wider_than_its_scale_says_is_named() -> None:
    narrow = replace(ARM, joints=(*ARM.joints[:5], replace(ARM.joints[5], scale=0.0003)))
    with pytest.raises(BadInput, match="gripper"):
        check(WHOLE, narrow)


def gate() -> CommandGate:
    return CommandGate(ROBOT.limits, timeout_s=0.5, window_s=0.6)


def command(wanted: np.ndarray, stamp_ns: int = NOW_NS, points: int = 1) -> JointPositions:
    return JointPositions(NAMES, tuple(wanted.tolist()), stamp_ns, points)


def far() -> np.ndarray:
    away = HOME.copy()
    away[4] += 1.5
    return away


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        (command(HOME), Cause.NONE),
        (command(HOME, NOW_NS - 499_000_000), Cause.NONE),
        (command(HOME, NOW_NS - 501_000_000), Cause.STALE_COMMAND),
        (command(HOME, NOW_NS + 501_000_000), Cause.STALE_COMMAND),
        (command(HOME, 0), Cause.STALE_COMMAND),
        (command(HOME * np.nan), Cause.NOT_FINITE),
        (command(HOME + np.array([0, 0, np.inf, 0, 0, 0])), Cause.NOT_FINITE),
        (command(HOME[:5]), Cause.MALFORMED),
        (command(HOME, points=2), Cause.MALFORMED),
        (replace(command(HOME), names=NAMES[::-1]), Cause.MALFORMED),
        (command(HOME + np.array([1.9, 0, 0, 0, 0, 0])), Cause.LIMIT),
        (command(far()), Cause.TRACKING),
    ],
)
def test_a_command_is_taken_or_refused_whole(asked: JointPositions, cause: Cause) -> None:
    tried = gate()
    assert tried.takes(asked, HOME, NOW_NS) == (cause is Cause.NONE)
    assert bool(tried.reason) == (cause is not Cause.NONE)
    assert dict(tried.refused) == ({} if cause is Cause.NONE else {cause: 1})


def test_a_gripper_that_something_holds_open_may_go_on_closing() -> None:
    around, closed = HOME.copy(), HOME.copy()
    around[5], closed[5] = ROBOT.limits.position_high[5], ROBOT.limits.position_low[5]
    assert gate().takes(command(closed), around, NOW_NS)


def test_an_older_command_does_not_follow_a_newer_one() -> None:
    tried = gate()
    assert tried.takes(command(HOME, NOW_NS), HOME, NOW_NS)
    assert not tried.takes(command(HOME, NOW_NS - 1), HOME, NOW_NS)
    assert tried.takes(command(HOME, NOW_NS), HOME, NOW_NS)
    assert tried.refused == {Cause.REORDERED: 1}


def test_no_command_is_taken_before_the_arm_has_said_where_it_is() -> None:
    assert not gate().takes(command(HOME), None, NOW_NS)


def test_only_the_commander_may_command() -> None:
    assert strangers(["/safety", "/safety"], "/safety") == ""
    assert "/teleop" in strangers(["/safety", "/teleop"], "/safety")
    assert "/left/safety" in strangers(["/left/safety"], "/safety")


@given(positions, positions, st.floats(0.05, 1.0), st.floats(5.0, 50.0))
def test_a_slow_line_ends_at_its_goal_and_is_never_faster(
    here: np.ndarray, goal: np.ndarray, share: float, rate_hz: float
) -> None:
    line = SlowLine(ROBOT.limits, ROBOT.arm_joints, rate_hz, share)
    way = line.targets(here, goal)
    steps = np.abs(np.diff(np.vstack([here, *way]), axis=0))
    assert (steps <= share * ROBOT.limits.velocity_max / rate_hz + 1e-9).all()
    if way:
        np.testing.assert_allclose(way[-1], goal, atol=1e-9)
    assert line.away(way[-1] if way else here, goal) == ""


def test_single_errors_do_not_lose_a_device_and_several_in_a_row_do() -> None:
    link = Connection(failures=3, attempts=2, period_s=1.0)
    for _ in range(5):
        assert not link.failed("noise", 0.0)
        link.succeeded()
    lost = [link.failed("gone", 10.0) for _ in range(3)]
    assert lost == [False, False, True]
    assert (link.state, link.errors, link.losses) == (State.RECONNECTING, 8, 1)


def test_a_lost_device_is_opened_again_a_bounded_number_of_times() -> None:
    link = Connection(failures=1, attempts=2, period_s=1.0)
    link.failed("gone", 10.0)
    assert [link.due(now_s) for now_s in (10.0, 10.9, 11.0)] == [False, False, True]
    link.stayed_closed("no such port", 11.0)
    assert link.state is State.RECONNECTING
    assert not link.due(11.5)
    link.stayed_closed("no such port", 12.0)
    assert link.state is State.LOST
    assert not link.due(1e9)
    assert link.text == "given up after 2 attempts (no such port): mend it, then start this node again"
    link.retry()
    assert link.due(0.0)
    link.opened()
    assert link.text == "connected"


class FakeArm:
    """Is where it was sent; raises what it is told to."""

    def __init__(self) -> None:
        self.at, self.sent, self.opened, self.closed = HOME.copy(), [], 0, 0
        self.error: Exception | None = None

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def open(self) -> None:
        self._fail()
        self.opened += 1

    def read(self) -> np.ndarray:
        self._fail()
        return self.at.copy()

    def send(self, wanted: np.ndarray) -> None:
        self._fail()
        self.at = wanted
        self.sent.append(wanted)

    def close(self) -> None:
        self.closed += 1


def running(arm: FakeArm, states: list[np.ndarray], attempts: int = 1000) -> tuple[ArmLoop, DeviceThread]:
    loop = ArmLoop(arm, 0.002, lambda: NOW_NS, lambda at, _: states.append(at))
    loop.open()
    thread = DeviceThread("arm", loop, Connection(2, attempts, 0.005), lambda text, bad: None)
    thread.start()
    return loop, thread


def test_an_arm_holds_where_it_stands_when_it_is_opened_and_then_follows() -> None:
    arm, states = FakeArm(), []
    loop, thread = running(arm, states)
    np.testing.assert_array_equal(arm.sent[0], HOME)
    loop.command(HOME + 0.01)
    wait_until(lambda: states and (states[-1] == HOME + 0.01).all(), 10.0, "the arm follows")
    thread.stop()
    assert not arm.closed


def test_an_arm_without_torque_is_read_and_not_told_to_hold() -> None:
    arm, states = FakeArm(), []
    loop = ArmLoop(arm, 0.002, lambda: NOW_NS, lambda at, _: states.append(at), torque=False)
    loop.open()
    loop.step()
    assert (len(states), arm.sent) == (1, [])


def test_an_arm_that_fails_is_closed_gets_no_command_and_is_told_to_hold_when_it_is_back() -> None:
    arm, states = FakeArm(), []
    loop, thread = running(arm, states)
    wait_until(lambda: states, 10.0, "states")
    arm.error = ConnectionError("There is no status packet!")
    wait_until(lambda: thread.connection.state is State.RECONNECTING, 10.0, "lost")
    wait_until(lambda: arm.closed > 1, 10.0, "attempts")
    assert loop.newest is None
    loop.command(HOME + 0.05)
    arm.at, sent = HOME - 0.02, len(arm.sent)  # it sagged meanwhile
    arm.error = None
    wait_until(lambda: thread.connection.state is State.CONNECTED, 10.0, "back")
    thread.stop()
    assert all((one == HOME - 0.02).all() for one in arm.sent[sent:]), "an old command must not move it"


def test_a_device_that_stays_away_is_given_up() -> None:
    arm = FakeArm()
    _, thread = running(arm, [], attempts=3)
    arm.error = OSError("no such port")
    wait_until(lambda: thread.connection.state is State.LOST, 10.0, "given up")
    thread.stop()
    assert arm.opened == 1
