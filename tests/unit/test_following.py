"""An arm that follows a person's leader, without ROS and LeRobot: how it comes to it, and whose turn it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.robot import load_robot
from lrm_robot_driver.following import Following
from lrm_robot_driver.turn import Turn, others

ROBOT = load_robot("so101")
LIMITS = ROBOT.limits
RATE_HZ, SHARE, REJOIN_S = 10.0, 0.2, 1.0
SLOW = SHARE * LIMITS.velocity_max / RATE_HZ
"""(J,) the farthest that one step of the slow line leads."""
LAG_S = 0.3
fractions = st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6).map(np.array)
poses = fractions.map(lambda part: LIMITS.position_low + part * (LIMITS.position_high - LIMITS.position_low))
anywhere = st.lists(st.floats(-10.0, 10.0), min_size=6, max_size=6).map(np.array)


def following() -> Following:
    return Following(ROBOT, RATE_HZ, SHARE, REJOIN_S)


def joined(at: np.ndarray) -> Following:
    """Close to a leader at ``at``."""
    follower = following()
    follower.step(at, at)
    assert follower.close
    return follower


@given(poses, anywhere)
def test_the_arm_comes_slowly_from_where_it_is_to_a_leader_that_is_held_still(
    start: np.ndarray, leader: np.ndarray
) -> None:
    follower, here, goal = following(), start, LIMITS.clip(leader)
    periods = int((np.abs(goal - start) / SLOW).max()) + 3
    for _ in range(periods):
        target = follower.step(leader, here)
        assert (np.abs(target - here) <= SLOW + 1e-9).all()
        here = target
    assert follower.close
    np.testing.assert_allclose(here, goal)


@given(poses, st.lists(anywhere, min_size=1, max_size=30))
def test_before_it_is_close_no_step_is_longer_than_the_slow_line_whatever_the_leader_does(
    start: np.ndarray, leaders: list[np.ndarray]
) -> None:
    follower, here = following(), start
    for leader in leaders:
        target = follower.step(leader, here)
        assert (target == LIMITS.clip(target)).all()
        assert (np.abs(target - here) <= SLOW + 1e-9).all()
        if follower.close:
            break
        here = target


@given(poses, poses)
@settings(max_examples=50)
def test_an_arm_that_does_not_move_is_never_led_far_away(start: np.ndarray, leader: np.ndarray) -> None:
    follower = following()
    for _ in range(40):
        target = follower.step(leader, start)
        away_s = (np.abs(target - start) / LIMITS.velocity_max)[:5]
        assert away_s.max() <= LAG_S + SHARE / RATE_HZ + 1e-9


def test_a_leader_that_is_close_is_followed_as_it_is() -> None:
    at = ROBOT.home
    follower = joined(at)
    moved = at + 0.1 * LIMITS.velocity_max * np.array([1, 1, -1, 1, 1, -1])
    np.testing.assert_allclose(follower.step(moved, at), LIMITS.clip(moved))
    assert follower.close


@pytest.mark.parametrize("seconds", [1.1, 5.0])
def test_a_leader_that_leaps_away_is_approached_slowly_again(seconds: float) -> None:
    at = ROBOT.home
    follower, leap = joined(at), at.copy()
    leap[4] = np.clip(at[4] + seconds * LIMITS.velocity_max[4], *ROBOT.joints[4].position)
    assert leap[4] - at[4] > LIMITS.velocity_max[4]
    target = follower.step(leap, at)
    assert not follower.close
    assert (np.abs(target - at) <= SLOW + 1e-9).all()


def test_a_restart_begins_where_the_arm_is_and_keeps_its_grip() -> None:
    at = ROBOT.home.copy()
    at[5] = 0.01
    follower = joined(at)
    holding, leader = at.copy(), at.copy()
    holding[:5] -= 0.2  # it sagged; and an object of 3 cm keeps the gripper open
    holding[5] = 0.03
    follower.restart()
    target = follower.step(leader, holding)
    assert (np.abs(target - holding)[:5] <= SLOW[:5] + 1e-9).all()
    assert target[5] == pytest.approx(0.01)
    follower.forget()
    assert follower.step(leader, holding)[5] == pytest.approx(0.03, abs=SLOW[5])


def test_the_way_to_go_is_said_in_degrees_or_millimetres() -> None:
    at, arm, jaw = ROBOT.home, ROBOT.home.copy(), ROBOT.home.copy()
    arm[1] += np.radians(40.0)
    jaw[5] -= 0.03
    assert following().to_go(arm, at) == "shoulder_lift has 40 degrees to go"
    assert following().to_go(jaw, at) == "gripper has 30 mm to go"


def test_own_proposals_are_nobody_elses() -> None:
    turn = Turn(quiet_s=1.0)
    for stamp_ns in range(20):
        turn.proposes(stamp_ns)
        turn.heard(stamp_ns, now_s=0.1 * stamp_ns)
        assert not turn.other(0.1 * stamp_ns)


def test_it_is_nobodys_turn_until_the_other_has_been_quiet() -> None:
    turn = Turn(quiet_s=1.0)
    turn.heard(7, now_s=10.0)
    assert turn.other(10.9)
    assert not turn.other(11.1)


def test_others_that_could_propose_are_named() -> None:
    assert others(["/teleop", "/driver", "/policy", "/joystick"], ["/teleop", "/driver"]) == "/joystick, /policy"
    assert others(["/teleop"], ["/teleop", "/driver"]) == ""
