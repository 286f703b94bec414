"""From the token log-probabilities of one constrained answer to a distribution over all legal answers.

A server that decodes under a choice constraint reports, at every position, the most likely tokens. Wherever the legal
answers part, those tokens say how likely each continuation was. Let s be the text so far and C(s) the answers that
start with s. At every position the probabilities of the tokens that stay legal and narrow C are normalised among
themselves; a token that was not taken gives its share to the answers C(s + token), the taken one carries its share on.

What is exact and what is approximated, against the likelihoods that a local model computes:

* Exact where one token tells the answers apart (ImageA/ImageB, yes/no): both are the softmax over the same logits,
  whether the server reports log-probabilities before or after its constraint.
* Where several tokens do (``0``, ``.``, ``7``), every step is normalised over its legal tokens. A local model leaves
  that out: the difference is the probability that the model gives to illegal continuations.
* A branch that was not taken and still holds several answers is reported as open, for one more question about these
  alone: the result is the same as if all branches had been decoded.
* The frame before the parting is the server's own greedy choice of tokens; a local model takes the tokenizer's. They
  differ only for a model that would rather spell the frame another way.
* A token that decides nothing where the taken one does (``I`` beside ``ImageA``) is left out: what would have followed
  it is taken to be shared out as the rest. Where an answer could come only that way, the distribution is not readable.
* A legal token that is not among the reported ones was less likely than all of them. That bound has to be negligible;
  its answers are ``unseen``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lrm_core.errors import LrmError

MAX_HIDDEN = 1e-3
"""Largest probability that an answer may have without having been reported."""

MAX_LOG_PROBABILITY = 1e-3
"""Rounding may lift a log-probability above 0 by so much, nats."""


class Unreadable(LrmError):
    """The tokens of an answer do not spell a legal answer, or carry no log-probabilities."""


@dataclass(frozen=True)
class Position:
    """One generated token.

    Attributes:
        token: its text.
        log_probabilities: text and log-probability (nats) of the most likely tokens, the generated one among them.
    """

    token: str
    log_probabilities: dict[str, float]


@dataclass
class Branches:
    """Shares of the legal answers; all shares and the open ones sum to 1.

    Attributes:
        shares: probability of each answer that was told apart.
        open: branches that hold several answers and were not followed: their probability and the answers.
        unseen: answers whose tokens were not reported at all.
    """

    shares: dict[str, float]
    open: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    unseen: tuple[str, ...] = ()


def read_branches(positions: Sequence[Position], answers: Sequence[str]) -> Branches:
    """Shares of ``answers`` along one decoded answer; see the module.

    Raises:
        Unreadable: the tokens leave the legal answers, or end before they are told apart.
    """
    found = Branches(dict.fromkeys(answers, 0.0))
    text, candidates, reach, hidden = "", tuple(answers), 1.0, 0.0
    seen: set[str] = set()
    for position in positions:
        if len(candidates) == 1:
            break
        shares, unreported = _shares(position, text, candidates)
        hidden = max(hidden, reach * unreported)
        text += position.token
        taken = _starting_with(text, candidates)
        for branch, share in shares.items():
            seen.update(branch if branch != taken else ())
            if branch == taken or not share:
                continue
            if len(branch) == 1:
                found.shares[branch[0]] += reach * share
            else:
                found.open.append((reach * share, branch))
        reach *= shares[taken]
        candidates = taken
    if len(candidates) > 1:
        raise Unreadable(f"the answer {text!r} ends before it is one of {list(answers)}")
    found.shares[candidates[0]] += reach
    found.unseen = tuple(answer for answer in answers if answer not in {*seen, *candidates})
    if found.unseen and hidden > MAX_HIDDEN:
        raise Unreadable(f"the top log-probabilities do not tell how likely {list(found.unseen)} are")
    return found


def _shares(position: Position, text: str, candidates: tuple[str, ...]) -> tuple[dict[tuple[str, ...], float], float]:
    """What the next token says about ``candidates``.

    Returns:
        Probability of each set of answers that it can narrow them to, which sum to 1, and the largest probability that
        an answer in none of these sets can have: that of a token just not reported, or that decides nothing although
        the taken one does.
    """
    taken = _starting_with(text + position.token, candidates)
    if not taken:
        raise Unreadable(f"the answer starts with {text + position.token!r}: no legal answer does")
    if position.token not in position.log_probabilities:
        raise Unreadable(f"no log-probability is given for the token {position.token!r}")
    if any(math.isnan(value) or value > MAX_LOG_PROBABILITY for value in position.log_probabilities.values()):
        raise Unreadable(f"what is given at the token {position.token!r} are no log-probabilities")
    legal = {
        token: (_starting_with(text + token, candidates), value) for token, value in position.log_probabilities.items()
    }
    top = max(value for branch, value in legal.values() if branch)
    if math.isinf(top):
        raise Unreadable(f"no legal token has a probability after {text!r}")
    weights: dict[tuple[str, ...], float] = {}
    for branch, value in legal.values():
        if branch:
            weights[branch] = weights.get(branch, 0.0) + math.exp(value - top)
    aside = 0.0 if taken == candidates else weights.pop(candidates, 0.0)
    total = sum(weights.values())
    if not total > 0.0:
        raise Unreadable(f"the token {position.token!r} has no probability")
    unreported = math.exp(min(position.log_probabilities.values()) - top)
    return {branch: weight / total for branch, weight in weights.items()}, max(aside, unreported) / total


def _starting_with(text: str, candidates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(answer for answer in candidates if answer.startswith(text))
