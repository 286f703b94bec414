"""The safety filter: whatever comes in, what goes out is finite, within limits and no faster than allowed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lrm_core.safety import Cause, Decision, JointPositions, SafetyFilter, SafetyLimits, StageOptions, Verdict

NAMES = ("shoulder", "elbow", "gripper")
LIMITS = SafetyLimits(
    NAMES,
    np.array([-1.5, -2.0, 0.0]),
    np.array([1.5, 2.0, 0.08]),
    np.array([2.0, 3.0, 0.5]),
    *(np.full(3, np.inf),) * 2,
)
PERIOD_S, TIMEOUT_S = 0.1, 0.3
PERIOD_NS = 100_000_000
MAX_STEP = LIMITS.velocity_max * PERIOD_S
OPTIONS = StageOptions(
    min_interval_s=PERIOD_S, max_interval_s=1.5 * PERIOD_S, command_timeout_s=TIMEOUT_S, joint_state_timeout_s=0.5,
    lockstep=True,
)  # fmt: skip
HOME = (0.1, -0.2, 0.04)


def new_filter(lockstep: bool = True) -> SafetyFilter:
    return SafetyFilter(LIMITS, replace(OPTIONS, lockstep=lockstep))


def at(positions: tuple[float, ...], tick: float = 0.0, names: tuple[str, ...] = NAMES) -> JointPositions:
    return JointPositions(names, positions, 10 * PERIOD_NS + int(tick * PERIOD_NS))


def decide(stage: SafetyFilter, wanted: tuple[float, ...], measured: tuple[float, ...], tick: float = 0.0) -> Decision:
    return stage.filter(at(wanted, tick), at(measured, tick), at(measured, tick).stamp_ns)


def test_a_good_command_passes_unchanged() -> None:
    decision = decide(new_filter(), (0.12, -0.25, 0.05), HOME)
    assert decision.verdict is Verdict.PASS
    assert decision.reason == ""
    assert decision.positions.tolist() == [0.12, -0.25, 0.05]


def test_a_position_beyond_its_limit_is_clamped_and_named() -> None:
    decision = decide(new_filter(), (0.1, -0.2, -0.01), (0.1, -0.2, 0.001))
    assert decision.verdict is Verdict.LIMIT
    assert decision.positions[2] == 0.0
    assert "gripper" in decision.reason
    assert "[0, 0.08]" in decision.reason


def test_the_first_command_far_away_is_approached_slowly() -> None:
    decision = decide(new_filter(), (1.4, 1.9, 0.08), HOME)
    assert decision.verdict is Verdict.LIMIT
    assert "faster than" in decision.reason
    assert (np.abs(decision.positions - HOME) <= MAX_STEP + 1e-12).all()


def test_a_jump_in_the_stream_is_limited_to_the_velocity() -> None:
    stage = new_filter()
    decide(stage, HOME, HOME)
    decision = decide(stage, (1.4, -0.2, 0.04), HOME, tick=1)
    assert decision.positions[0] == pytest.approx(HOME[0] + 2.0 * PERIOD_S)


def test_a_target_may_lead_a_slow_arm_so_that_it_keeps_up() -> None:
    stage = new_filter()
    arm = np.array(HOME)
    for tick in range(5):
        wanted = (HOME[0] + 0.2 * (tick + 1), HOME[1], HOME[2])
        assert decide(stage, wanted, tuple(arm), tick).verdict is Verdict.PASS
        arm = arm + 0.7 * (np.array(wanted) - arm)


def test_after_a_reset_elsewhere_the_old_target_is_forgotten() -> None:
    stage = new_filter()
    decide(stage, (1.4, 1.9, 0.05), (1.4, 1.9, 0.05))
    decision = decide(stage, HOME, HOME, tick=1)
    assert decision.verdict is Verdict.PASS
    decision = decide(stage, (1.4, 1.9, 0.05), HOME, tick=2)
    assert (np.abs(decision.positions - HOME) <= MAX_STEP + 1e-12).all()


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (at((math.nan, 0.0, 0.0)), "shoulder is nan"),
        (at((0.0, math.inf, 0.0)), "elbow is inf"),
        (at((0.0, 0.0)), "2 positions"),
        (at(()), "0 positions"),
        (at(HOME, names=("elbow", "shoulder", "gripper")), "names the joints"),
        (at(HOME, names=NAMES[:2]), "names the joints"),
        (at(HOME, tick=-4), "behind"),
        (at(HOME, tick=+4), "behind"),
    ],
)
def test_a_bad_command_is_replaced_by_a_hold(command: JointPositions, word: str) -> None:
    decision = new_filter().filter(command, at((0.3, 0.3, 0.02)), at(HOME).stamp_ns)
    assert decision.verdict is Verdict.HOLD
    assert word in decision.reason
    assert decision.positions.tolist() == [0.3, 0.3, 0.02]


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        (at((math.nan, 0.0, 0.0), tick=1), "not finite"),
        (at((0.0, 0.0), tick=1, names=NAMES[:2]), "lacks ['gripper']"),
        (at((0.9, 0.9, 0.02), tick=-6), "old"),
    ],
)
def test_a_bad_joint_state_holds_at_the_last_good_one(measured: JointPositions, word: str) -> None:
    stage = new_filter()
    decide(stage, HOME, HOME)
    decision = stage.filter(at(HOME, 1), measured, at(HOME, 1).stamp_ns)
    assert decision.verdict is Verdict.HOLD
    assert word in decision.reason
    assert np.isfinite(decision.positions).all()


def test_nothing_is_sent_before_any_joint_state() -> None:
    for measured in (None, at((math.nan, 0.0, 0.0))):
        decision = new_filter().filter(at(HOME), measured, at(HOME).stamp_ns)
        assert decision.verdict is Verdict.REJECT
        assert decision.positions is None
        assert decision.reason


def test_a_hold_does_not_follow_an_arm_that_sags() -> None:
    stage = new_filter()
    first = stage.hold(Cause.SILENCE, "no command", at(HOME).stamp_ns, at(HOME))
    sagging = (HOME[0] + 0.05, HOME[1] + 0.05, HOME[2])
    second = stage.hold(Cause.SILENCE, "no command", at(HOME, 1).stamp_ns, at(sagging, 1))
    assert second.positions.tolist() == first.positions.tolist() == list(HOME)


def test_a_hold_is_taken_anew_where_the_arm_was_put_by_a_reset() -> None:
    stage = new_filter()
    stage.hold(Cause.SILENCE, "no command", at(HOME).stamp_ns, at(HOME))
    elsewhere = (-1.2, 1.2, 0.01)
    assert stage.hold(Cause.SILENCE, "no command", at(HOME, 1).stamp_ns, at(elsewhere, 1)).positions.tolist() == list(
        elsewhere
    )


def test_extra_and_reordered_measured_joints_are_matched_by_name() -> None:
    measured = JointPositions(("wheel", "gripper", "elbow", "shoulder"), (9.0, 0.04, -0.2, 0.1), at(HOME).stamp_ns)
    decision = new_filter().filter(at(HOME), measured, measured.stamp_ns)
    assert decision.verdict is Verdict.PASS


def test_a_clock_that_jumps_back_does_not_open_the_velocity_limit() -> None:
    stage = new_filter()
    decide(stage, HOME, HOME, tick=100)
    decision = decide(stage, (1.4, 1.9, 0.08), HOME, tick=0)
    assert (np.abs(decision.positions - HOME) <= MAX_STEP + 1e-12).all()
