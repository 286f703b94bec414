"""The legal answers of each head and what a distribution over them means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.parsing import check_parsing, parse_answer

READOUTS = ("logits", "generate")
"""``logits``: the answer's JSON frame is forced and every legal answer gets its likelihood. ``generate``: greedy
decoding, as published, and parsing; see :mod:`lrm_reward_node.parsing`."""

PROGRESS_BINS = tuple(f"{i / 10:.1f}" for i in range(11))


@dataclass(frozen=True)
class AnswerSet:
    """The legal answers of one head.

    Attributes:
        texts: complete answers, as the model would write them.
        values: value of each answer, unit of the head.
    """

    texts: tuple[str, ...]
    values: tuple[float, ...]


ANSWERS = {
    RewardHead.CONTRASTIVE: AnswerSet(
        tuple(f'{{ "more_complete_image": "{name}" }}' for name in ("ImageA", "ImageB")), (-1.0, 1.0)
    ),
    RewardHead.PROGRESS: AnswerSet(
        tuple(f'{{ "completion_progress": {text} }}' for text in PROGRESS_BINS), tuple(i / 10 for i in range(11))
    ),
    RewardHead.COMPLETION: AnswerSet(tuple(f'{{ "task_completed": "{text}" }}' for text in ("no", "yes")), (0.0, 1.0)),
}


@dataclass(frozen=True)
class Reading:
    """What one row of a readout says, without stamps; see :class:`lrm_core.rewards.RewardEstimate`."""

    value: float
    status: RewardStatus
    uncertainty: float = float("nan")
    confidence: float = float("nan")
    raw_text: str = ""
    parse: str = ""


UNREADABLE = float("nan")


def failed(reason: str) -> Reading:
    """The reading of a query that the model could not answer."""
    return Reading(UNREADABLE, RewardStatus.MODEL_ERROR, raw_text=reason)


def estimate(query: RewardQuery, reading: Reading, latency_s: float, fingerprint: str) -> RewardEstimate:
    """The estimate of ``query`` with its stamps, from what was read."""
    fields: dict[str, Any] = {
        "stamp_ns": query.current_stamp_ns,
        "reference_stamp_ns": query.reference_stamp_ns,
        "latency_s": latency_s,
        "raw_text": reading.raw_text,
        "parse": reading.parse,
        "fingerprint": fingerprint,
    }
    if reading.status is not RewardStatus.OK:
        return unknown(query.head, reading.status, **fields)
    fields |= {"uncertainty": reading.uncertainty, "confidence": reading.confidence}
    return RewardEstimate(query.head, reading.value, reading.status, **fields)


def check_readout(readout: str, parsing: str) -> None:
    """Raise :class:`BadInput` unless both names are known."""
    if readout not in READOUTS:
        raise BadInput("readout", readout, f"one of {list(READOUTS)}")
    check_parsing(parsing)


def readout_identity(readout: str, parsing: str) -> str:
    """What belongs in a fingerprint: rules of parsing matter only to text."""
    return readout if readout == "logits" else f"{readout} {parsing}"


def read_text(head: RewardHead, text: str, parsing: str) -> Reading:
    """What a generated answer says under the rules ``parsing``: UNPARSABLE when it is no legal answer."""
    answer = parse_answer(head, text, parsing)
    if answer.value is None:
        return Reading(UNREADABLE, RewardStatus.UNPARSABLE, raw_text=text, parse=answer.path)
    return Reading(answer.value, RewardStatus.OK, raw_text=text, parse=answer.path)


def read_distribution(head: RewardHead, log_likelihoods: np.ndarray) -> Reading:
    """Expected value of the answers: progress in [0, 1], P(yes) for completion, P(B) - P(A) for contrastive.

    Args:
        head: a model head.
        log_likelihoods: (A,) log-likelihood of each legal answer, nats; need not be normalised.
    """
    answers = ANSWERS[head]
    if not np.isfinite(log_likelihoods).all():
        return Reading(UNREADABLE, RewardStatus.MODEL_ERROR, raw_text="the model's output is not finite")
    weights = np.exp(np.asarray(log_likelihoods, np.float64) - np.max(log_likelihoods))
    probabilities = weights / weights.sum()
    values = np.asarray(answers.values)
    mean = float(probabilities @ values)
    best = int(np.argmax(probabilities))
    return Reading(
        value=float(np.clip(mean, values.min(), values.max())),
        status=RewardStatus.OK,
        uncertainty=float(np.sqrt(probabilities @ (values - mean) ** 2)),
        confidence=float(probabilities[best]),
        raw_text=answers.texts[best],
    )
