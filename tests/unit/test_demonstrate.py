"""The dialogue of demonstrations: what a person says becomes episodes with an end each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.demonstrate.dialogue import ANSWERS, QUIT, demonstrate
from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import EpisodeState, TerminationReason, judged, succeeded

SUCCESS, FAILURE, CANCELLED = (
    TerminationReason.JUDGED_SUCCESS,
    TerminationReason.JUDGED_FAILURE,
    TerminationReason.CANCELLED,
)


class Stage:
    """Remembers what was shown; time goes on with every look at it."""

    def __init__(self) -> None:
        self.shown: list[EpisodeMachine] = []
        self._now_ns = 0

    def now_ns(self) -> int:
        self._now_ns += 1
        return self._now_ns

    def steps_since(self, start_ns: int) -> int:
        return self.now_ns() - start_ns

    def show(self, machine: EpisodeMachine) -> None:
        self.shown.append(replace(machine))


def person(*answers: str | type[BaseException]) -> Callable[[str], str]:
    said = iter(answers)

    def ask(question: str) -> str:
        answer = next(said, EOFError)
        if isinstance(answer, str):
            return answer
        raise answer

    return ask


def test_every_demonstration_is_shown_as_it_begins_and_as_it_ends() -> None:
    stage = Stage()
    ended = demonstrate(stage, "d", 2, 100, person("", "", "", "f"))
    assert ended == {SUCCESS: 1, FAILURE: 1}
    assert [(one.episode_id, one.state, one.reason) for one in stage.shown] == [
        ("d.0", EpisodeState.RUNNING, None), ("d.0", EpisodeState.ENDED, SUCCESS),
        ("d.1", EpisodeState.RUNNING, None), ("d.1", EpisodeState.ENDED, FAILURE),
    ]  # fmt: skip
    assert all(one.start_stamp_ns < one.end_stamp_ns for one in stage.shown if one.reason)


def test_what_does_not_count_is_done_again() -> None:
    assert demonstrate(Stage(), "d", 1, 100, person("", "d", "", "s")) == {CANCELLED: 1, SUCCESS: 1}


def test_an_answer_that_is_none_is_asked_for_again() -> None:
    assert demonstrate(Stage(), "d", 1, 100, person("", "yes", "f")) == {FAILURE: 1}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, EOFError])
def test_an_interrupted_demonstration_ends_all_the_same(interruption: type[BaseException]) -> None:
    stage = Stage()
    try:
        demonstrate(stage, "d", 3, 100, person("", interruption))
    except KeyboardInterrupt:
        assert interruption is KeyboardInterrupt
    assert [one.reason for one in stage.shown] == [None, CANCELLED]


@given(st.lists(st.sampled_from(["", "s", "f", "d", "x", QUIT]), max_size=20), st.integers(1, 5))
def test_whatever_is_said_every_episode_has_an_end_and_a_name_of_its_own(answers: list[str], count: int) -> None:
    stage = Stage()
    ended = demonstrate(stage, "d", count, 100, person(*answers))
    begun = [one.episode_id for one in stage.shown if one.state is EpisodeState.RUNNING]
    assert len(set(begun)) == len(begun) == sum(ended.values()) == len(stage.shown) - len(begun)
    assert ended[SUCCESS] + ended[FAILURE] <= count


def test_a_persons_word_is_truth_and_a_models_is_not() -> None:
    assert {reason.value: (succeeded(reason), judged(reason)) for reason in (*ANSWERS.values(),)} == {
        "judged_success": (True, True), "judged_failure": (False, False), "cancelled": (None, None),
    }  # fmt: skip
    assert (succeeded("success_confirmed"), judged("success_confirmed")) == (True, None)
    assert succeeded("what nobody says") is judged("") is None
