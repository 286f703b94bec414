"""Joining transitions and rewards: any order, exactly once, never a made-up number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.credit import RewardCredit
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_core.transitions import Transition

HEADS = frozenset({RewardHead.PROGRESS, RewardHead.COMPLETION})
STEP_NS = 1_000_000_000


def transition(index: int, episode: str = "a") -> Transition:
    zeros = np.zeros(2, np.float32)
    return Transition(episode, index, index * STEP_NS, (index + 1) * STEP_NS, zeros, zeros, zeros)


def estimate(head: RewardHead, frame: int, value: float = 0.5, late_ns: int = 0) -> RewardEstimate:
    return RewardEstimate(head, value, RewardStatus.OK, stamp_ns=frame * STEP_NS + late_ns)


def credit(**values: object) -> RewardCredit:
    return RewardCredit(HEADS, HEADS, **values)  # type: ignore[arg-type]


def events(length: int, unknown_frames: set[int]) -> list[object]:
    rewards = [
        unknown(head, RewardStatus.LATE, stamp_ns=frame * STEP_NS) if frame in unknown_frames else estimate(head, frame)
        for frame in range(length + 1)
        for head in HEADS
    ]
    return [transition(i) for i in range(length)] + rewards


@given(st.data())
def test_any_order_with_repetitions_credits_the_known_once_and_counts_the_rest(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 6))
    bad = data.draw(st.sets(st.integers(0, length)))
    order = data.draw(st.permutations(events(length, bad)))
    repeated = data.draw(st.lists(st.sampled_from(order), max_size=5))
    joined, ready = credit(), []
    for event in [*order, *repeated]:
        if isinstance(event, Transition):
            joined.add_transition(event, now_s=0.0)
        else:
            joined.add_reward("a", event)
        ready += joined.collect(now_s=0.0)
    known = {i for i in range(length) if i not in bad and i + 1 not in bad}
    assert sorted(c.transition.index for c in ready) == sorted(known)
    assert joined.dropped_unknown == length - len(known) and joined.pending == 0


def test_a_missing_reward_drops_at_the_deadline_and_is_counted() -> None:
    joined = credit(deadline_s=5.0)
    joined.add_transition(transition(0), now_s=10.0)
    assert joined.collect(now_s=15.0) == [] and joined.waits_for("a")
    assert joined.collect(now_s=15.1) == [] and joined.dropped_deadline == 1 and not joined.waits_for("a")


def test_the_exact_stamp_wins_over_a_nearer_arrival_within_the_tolerance() -> None:
    joined = credit(tolerance_ns=STEP_NS // 4)
    for head in HEADS:
        joined.add_reward("a", estimate(head, 0, 0.1))
        joined.add_reward("a", estimate(head, 0, 0.9, late_ns=1000))
        joined.add_reward("a", estimate(head, 1, 0.7, late_ns=STEP_NS // 5))
    joined.add_transition(transition(0), now_s=0.0)
    (ready,) = joined.collect(now_s=0.0)
    assert (ready.start.progress, ready.end.progress) == (0.1, 0.7)


def test_rewards_of_another_episode_do_not_count() -> None:
    joined = credit()
    joined.add_transition(transition(0), now_s=0.0)
    for event in events(1, set())[1:]:
        joined.add_reward("b", event)  # type: ignore[arg-type]
    assert joined.collect(now_s=0.0) == [] and joined.pending == 1


def test_a_stored_transition_that_is_delivered_again_is_ignored() -> None:
    joined = credit()
    joined.forget(("a", 0))
    joined.add_transition(transition(0), now_s=0.0)
    assert joined.pending == 0


def test_waiting_transitions_are_bounded() -> None:
    joined = credit(capacity=3)
    for index in range(5):
        joined.add_transition(transition(index), now_s=0.0)
    assert (joined.pending, joined.dropped) == (3, 2)


def test_a_transition_is_checked() -> None:
    ones = np.ones(2, np.float32)
    with pytest.raises(BadInput, match="end_stamp_ns"):
        Transition("a", 0, 5, 5, ones, ones, ones)
    with pytest.raises(BadInput, match="next_observation"):
        Transition("a", 0, 0, 5, ones, ones, np.ones(3, np.float32))
    with pytest.raises(BadInput, match="action"):
        Transition("a", 0, 0, 5, ones, np.array([np.nan, 0.0]), ones)
