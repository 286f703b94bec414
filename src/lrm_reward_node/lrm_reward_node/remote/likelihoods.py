"""The distribution over legal answers from a server, with further questions where the first leaves some open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np

from lrm_reward_node.remote.chat import Ask, Completion
from lrm_reward_node.remote.distribution import Branches, Unreadable, read_branches

Complete = Callable[[Ask], Awaitable[Completion]]

NEGLIGIBLE = 1e-4
"""An open branch of less probability is shared out evenly among its answers instead of being asked about."""
UNSEEN = math.log(1e-12)
"""Log-likelihood, nats, of an answer that the server did not report among the most likely."""


async def answer_shares(complete: Complete, ask: Ask) -> Branches:
    """Probability of each of ``ask.choices``; no branch is left open.

    Raises:
        Unreadable: the server gave no log-probabilities, or did not keep to the choices.
        LrmError: whatever ``complete`` raises.
    """
    answer = await complete(ask)
    if not answer.positions:
        raise Unreadable(f"the answer {answer.text[:80]!r} comes without log-probabilities")
    found = read_branches(answer.positions, ask.choices)
    followed = [branch for branch in found.open if branch[0] >= NEGLIGIBLE]
    for probability, answers in found.open:
        if probability < NEGLIGIBLE:
            _add(found, probability, dict.fromkeys(answers, 1 / len(answers)))
    inner = await asyncio.gather(*(answer_shares(complete, replace(ask, choices=answers)) for _, answers in followed))
    for (probability, _), branches in zip(followed, inner, strict=True):
        _add(found, probability, branches.shares)
    unseen = {answer for branches in (found, *inner) for answer in branches.unseen}
    return Branches(found.shares, [], tuple(answer for answer in ask.choices if answer in unseen))


def _add(found: Branches, probability: float, shares: dict[str, float]) -> None:
    for answer, share in shares.items():
        found.shares[answer] += probability * share


def log_likelihoods(branches: Branches, answers: Sequence[str]) -> np.ndarray:
    """(A,) log-likelihoods in the order of ``answers``, nats; see ``UNSEEN``."""
    return np.array([max(UNSEEN, math.log(share)) if (share := branches.shares[a]) > 0 else UNSEEN for a in answers])
