"""The tree of the legal answers: every answer is a way through it, and what several share is in it once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lrm_reward_node.vlm.answers import AnswerTokens

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)
CHOICES = st.lists(TOKENS, min_size=1, max_size=8, unique=True).map(tuple)


@given(CHOICES)
def test_the_route_of_an_answer_spells_it(choices: tuple[tuple[int, ...], ...]) -> None:
    answers = AnswerTokens((), choices)
    paths = ((), *answers.branches)
    for choice, route in zip(choices, answers.routes, strict=True):
        spelled: tuple[int, ...] = ()
        for at, token in (answers.edges[step] for step in route):
            assert paths[at] == spelled
            spelled = (*spelled, token)
        assert spelled == choice


@given(CHOICES)
def test_what_answers_share_is_computed_once(choices: tuple[tuple[int, ...], ...]) -> None:
    answers = AnswerTokens((), choices)
    starts = {choice[:end] for choice in choices for end in range(1, len(choice))}
    assert sorted(answers.branches) == sorted(starts)
    assert list(map(len, answers.branches)) == sorted(map(len, answers.branches))
    assert len(answers.edges) == len(set(answers.edges))


def test_one_token_that_decides_needs_no_branch() -> None:
    answers = AnswerTokens((7,), ((1,), (2,)))
    assert answers.branches == ()
    assert answers.routes == ((0,), (1,))
