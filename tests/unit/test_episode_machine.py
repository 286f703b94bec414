"""The episode machine: whatever is asked of it, its invariants hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lrm_core.episode_machine import EpisodeMachine, IllegalTransition
from lrm_core.episodes import EpisodeState, TerminationReason

MAX_STEPS = 5


def test_a_whole_episode() -> None:
    machine = EpisodeMachine(max_steps=2)
    machine.begin("a")
    machine.start(100)
    machine.reach(1)
    assert not machine.out_of_steps
    machine.reach(3)
    assert machine.out_of_steps
    assert machine.steps == 2
    machine.end(TerminationReason.MAX_STEPS, 300)
    assert machine.state is EpisodeState.ENDING
    machine.complete()
    assert (machine.start_stamp_ns, machine.end_stamp_ns, machine.reason) == (100, 300, TerminationReason.MAX_STEPS)


def test_an_episode_that_fails_to_reset_ends_without_a_frame() -> None:
    machine = EpisodeMachine(max_steps=2)
    machine.begin("a")
    machine.end(TerminationReason.CAMERA_LOST, 500)
    assert machine.state is EpisodeState.ENDED
    assert machine.end_stamp_ns == 0


def test_an_end_before_the_start_is_refused() -> None:
    machine = EpisodeMachine(max_steps=2)
    machine.begin("a")
    machine.start(100)
    with pytest.raises(IllegalTransition, match="before the start"):
        machine.end(TerminationReason.CANCELLED, 99)


class AnyCaller(RuleBasedStateMachine):
    """Calls anything at any time; what is refused must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = EpisodeMachine(max_steps=MAX_STEPS)
        self.count = 0

    def attempt(self, name: str, *arguments: object) -> None:
        before = dict(vars(self.machine))
        try:
            getattr(self.machine, name)(*arguments)
        except IllegalTransition:
            assert vars(self.machine) == before

    @rule(fresh=st.booleans())
    def begin(self, fresh: bool) -> None:
        self.count += fresh
        self.attempt("begin", f"episode-{self.count}")

    @rule(stamp_ns=st.integers(1, 10))
    def start(self, stamp_ns: int) -> None:
        self.attempt("start", stamp_ns)

    @rule(steps=st.integers(-1, MAX_STEPS + 3))
    def reach(self, steps: int) -> None:
        self.attempt("reach", steps)

    @rule(reason=st.sampled_from(TerminationReason), stamp_ns=st.integers(0, 20))
    def end(self, reason: TerminationReason, stamp_ns: int) -> None:
        self.attempt("end", reason, stamp_ns)

    @rule()
    def complete(self) -> None:
        self.attempt("complete")

    @invariant()
    def every_end_has_a_reason_and_only_ends_have_one(self) -> None:
        over = self.machine.state in (EpisodeState.ENDING, EpisodeState.ENDED)
        assert over == (self.machine.reason is not None)

    @invariant()
    def steps_stay_within_the_limit(self) -> None:
        assert 0 <= self.machine.steps <= MAX_STEPS

    @invariant()
    def frames_are_in_order(self) -> None:
        assert self.machine.end_stamp_ns == 0 or self.machine.start_stamp_ns <= self.machine.end_stamp_ns


AnyCaller.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnyCaller = AnyCaller.TestCase
