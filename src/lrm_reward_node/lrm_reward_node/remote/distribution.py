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
* A legal token that is not among the reported ones was less likely than all of them; its answers are ``unseen``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lrm_core.errors import LrmError


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
    text, candidates, reach = "", tuple(answers), 1.0
    seen: set[str] = set()
    for position in positions:
        if len(candidates) == 1:
            break
        shares = _shares(position, text, candidates)
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
    return found


def _shares(position: Position, text: str, candidates: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    """Probability of each set of answers that the next token can narrow ``candidates`` to; they sum to 1."""
    taken = _starting_with(text + position.token, candidates)
    if not taken:
        raise Unreadable(f"the answer starts with {text + position.token!r}: no legal answer does")
    scores: dict[tuple[str, ...], list[float]] = {taken: []}
    for token, log_probability in position.log_probabilities.items():
        branch = _starting_with(text + token, candidates)
        if branch == taken or (branch and branch != candidates):  # other spellings that decide nothing are left out
            scores.setdefault(branch, []).append(log_probability)
    if not scores[taken]:
        raise Unreadable(f"no log-probability is given for the token {position.token!r}")
    top = max(max(values) for values in scores.values())
    weights = {branch: sum(math.exp(value - top) for value in values) for branch, values in scores.items()}
    total = sum(weights.values())
    return {branch: weight / total for branch, weight in weights.items()}


def _starting_with(text: str, candidates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(answer for answer in candidates if answer.startswith(text))
