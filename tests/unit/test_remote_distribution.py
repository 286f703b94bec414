"""Answers read from token log-probabilities equal those of the model behind them, however it spells them."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.remote.chat import Ask, Completion
from lrm_reward_node.remote.distribution import Position, Unreadable, read_branches
from lrm_reward_node.remote.likelihoods import NEGLIGIBLE, UNSEEN, answer_shares, log_likelihoods

TEXTS = ANSWERS[RewardHead.PROGRESS].texts


class Speller:
    """A language model over pieces of the answers, with its own taste at every prefix; decodes greedily under choices.

    Args:
        seed: of its logits.
        pieces: tokens; every single character is one besides.
        top: how many log-probabilities are reported.
        masked: True reports them after the constraint, False before, where illegal tokens have their share.
    """

    def __init__(self, seed: int, pieces: list[str], top: int = 100, masked: bool = True) -> None:
        self.seed, self.top, self.masked = seed, top, masked
        self.tokens = sorted({*pieces, *"".join(TEXTS), "?"})
        self.asked: list[tuple[str, ...]] = []

    def log_probabilities(self, text: str, choices: tuple[str, ...]) -> dict[str, float]:
        rng = np.random.default_rng([self.seed, *text.encode()])
        scores = dict(zip(self.tokens, rng.normal(0.0, 2.0, len(self.tokens)), strict=True))
        if self.masked:
            scores = {t: s for t, s in scores.items() if any(c.startswith(text + t) for c in choices)}
        total = np.logaddexp.reduce(list(scores.values()))
        return {token: float(score - total) for token, score in scores.items()}

    async def complete(self, ask: Ask) -> Completion:
        self.asked.append(ask.choices)
        text, positions = "", []
        while text not in ask.choices:
            likely = self.log_probabilities(text, ask.choices)
            legal = {t: p for t, p in likely.items() if any(c.startswith(text + t) for c in ask.choices)}
            token = max(legal, key=lambda t: legal[t])
            kept = sorted(likely, key=lambda t: -likely[t])[: self.top]
            positions.append(Position(token, {t: likely[t] for t in {*kept, token}}))
            text += token
        return Completion(text, tuple(positions))

    def shares(self, choices: tuple[str, ...]) -> dict[str, float]:
        """The truth: every path through the tokens followed, each step normalised over what decides something."""
        return self._from("", choices, choices)

    def _from(self, text: str, candidates: tuple[str, ...], choices: tuple[str, ...]) -> dict[str, float]:
        if len(candidates) == 1:
            return {candidates[0]: 1.0}
        likely = self.log_probabilities(text, choices)
        after = {t: tuple(c for c in candidates if c.startswith(text + t)) for t in likely}
        legal = {t: p for t, p in likely.items() if after[t]}
        token = max(legal, key=lambda t: legal[t])
        weights: dict[tuple[str, ...], float] = {}
        for t, p in legal.items():
            if after[t] in (after[token],) or after[t] != candidates:
                weights[after[t]] = weights.get(after[t], 0.0) + math.exp(p)
        found: dict[str, float] = {}
        for branch, weight in weights.items():
            inner = (
                self._from(text + token, branch, choices) if branch == after[token] else self._from("", branch, branch)
            )
            for answer, share in inner.items():
                found[answer] = found.get(answer, 0.0) + weight / sum(weights.values()) * share
        return found


def ask(choices: tuple[str, ...]) -> Ask:
    return Ask("m", [], 64, choices)


PIECES = st.lists(st.sampled_from(sorted({t[i:j] for t in TEXTS for i, j in pairwise(range(0, 30, 3))})), max_size=8)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pieces=PIECES, masked=st.booleans(), head=st.sampled_from(MODEL_HEADS))
def test_shares_are_those_of_the_model_behind_the_tokens(
    seed: int, pieces: list[str], masked: bool, head: RewardHead
) -> None:
    answers = ANSWERS[head].texts
    model = Speller(seed, [*pieces, *answers[0].split('"')], masked=masked)
    model.tokens = sorted({*model.tokens, *"".join(answers)})
    expected = model.shares(answers)
    try:
        found = asyncio.run(answer_shares(model.complete, ask(answers)))
    except Unreadable:
        assert len(expected) < len(answers)  # an answer that only tokens which decide nothing lead to
        return
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.open == [] and found.unseen == ()
    for answer in answers:
        assert found.shares[answer] == pytest.approx(expected.get(answer, 0.0), abs=2 * NEGLIGIBLE)


def position(token: str, **log_probabilities: float) -> Position:
    return Position(token, {name.strip("_"): value for name, value in log_probabilities.items()})


def test_one_deciding_token_gives_the_softmax_over_the_legal_answers() -> None:
    answers = ('{"a": "no"}', '{"a": "yes"}')
    told = [Position('{"a": "', {'{"a": "': -0.1, "Sure": -2.0}), position("yes", yes=-1.0, no=-2.5, maybe=-0.2)]
    found = read_branches([*told, Position('"}', {})], answers)
    assert found.shares[answers[1]] == pytest.approx(1 / (1 + math.exp(-1.5)))


def test_a_branch_not_taken_is_asked_about_once_more() -> None:
    model = Speller(1, [])
    model.log_probabilities = lambda text, choices: {  # type: ignore[method-assign]
        t: {"1": -0.3, "0": -1.4}.get(t, -3.0) for t in sorted({c[len(text)] for c in choices if c.startswith(text)})
    }
    found = asyncio.run(answer_shares(model.complete, ask(TEXTS)))
    assert model.asked == [TEXTS, TEXTS[:-1]]
    assert found.shares[TEXTS[10]] == pytest.approx(math.exp(-0.3) / (math.exp(-0.3) + math.exp(-1.4)))


def test_an_answer_that_is_not_reported_is_unseen_and_never_more_likely_than_any_other() -> None:
    found = read_branches([position("B", B=-0.1, x=-9.0)], ("A", "B"))
    assert found.unseen == ("A",)
    assert list(log_likelihoods(found, ("A", "B"))) == [UNSEEN, 0.0]


@pytest.mark.parametrize(
    "positions",
    [
        [],
        [position("C", C=-0.1)],
        [Position("A", {"B": -0.1})],
        [Position("", {"": 0.0})],
        [position("A", A=math.nan, B=math.nan)],
        [position("A", A=-math.inf, B=-math.inf)],
        [position("A", A=12.0, B=3.0)],
    ],
    ids=["nothing", "not legal", "none of its own", "empty tokens", "NaN", "impossible", "logits in their place"],
)
def test_what_does_not_spell_an_answer_is_unreadable(positions: list[Position]) -> None:
    with pytest.raises(Unreadable):
        read_branches(positions, ("A1", "B1"))


def test_an_answer_without_log_probabilities_is_unreadable() -> None:
    async def silent(_: Ask) -> Completion:
        return Completion(TEXTS[3], ())

    with pytest.raises(Unreadable, match="without log-probabilities"):
        asyncio.run(answer_shares(silent, ask(TEXTS)))
