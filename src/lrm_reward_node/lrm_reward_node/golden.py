"""Golden scores: what a checkpoint said of fixed synthetic pictures when it was written, to be compared with now.

File format (JSON): ``format`` (1), ``digest`` of the checkpoint's files, ``dtype`` it was written in, ``tolerance`` in
log-odds per number format, and ``cases``: per case ``head``, ``task``, ``pictures`` (seeds for :func:`picture`,
reference first) and ``value``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.model import RewardModel, RewardQuery

FORMAT = 1
FILE_NAME = "golden.json"
SIDE_PX = 128
TOLERANCE = {"float32": 0.01, "bfloat16": 0.6, "float16": 0.1}
"""Largest difference in log-odds that counts as the same: other kernels and, in 16 bit, rounding."""
SATURATED = 1e-6
"""Probabilities are compared down to here, and up to 1 minus this."""
TASKS = ("put the red cube in the blue bowl", "put the green cylinder in the white box")
SEEDS = range(24)
KEPT = 8
"""Cases per head: those the head is least sure of, because an answer it is sure of changes little when weights do."""


@dataclass(frozen=True)
class GoldenCase:
    """One question and its answer; ``pictures`` are seeds, the reference first."""

    head: RewardHead
    task: str
    pictures: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Golden:
    """The content of a file of golden scores."""

    digest: str
    dtype: str
    tolerance: dict[str, float]
    cases: tuple[GoldenCase, ...]


@dataclass(frozen=True)
class Comparison:
    """One golden score beside the score of now; ``value`` is NaN where there is none, and ``why`` says why."""

    case: GoldenCase
    value: float
    tolerance: float
    why: str = ""

    @property
    def difference(self) -> float:
        """Difference in log-odds, so that an answer the model is sure of says something too; infinite without one."""
        if math.isnan(self.value):
            return math.inf
        return abs(_log_odds(self.case.head, self.value) - _log_odds(self.case.head, self.case.value))

    @property
    def ok(self) -> bool:
        """True within the tolerance."""
        return self.difference <= self.tolerance


def _log_odds(head: RewardHead, value: float) -> float:
    share = (value + 1.0) / 2.0 if head is RewardHead.CONTRASTIVE else value
    share = min(max(share, SATURATED), 1.0 - SATURATED)
    return math.log(share / (1.0 - share))


def picture(seed: int) -> np.ndarray:
    """(128, 128, 3) uint8 RGB: a shaded ground with coloured discs. Integer arithmetic only: the same everywhere."""
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.int64)
    image = np.stack([(90 + row // 2 + k * column // 4) % 256 for k in range(3)], axis=-1)
    state = seed * 2654435761 + 12345
    for _ in range(4):
        numbers = []
        for _ in range(6):
            state = (1103515245 * state + 12345) % 2**31
            numbers.append(state >> 16)
        radius = 8 + numbers[2] % 16
        inside = (row - numbers[0] % SIDE_PX) ** 2 + (column - numbers[1] % SIDE_PX) ** 2 <= radius**2
        image[inside] = [number % 256 for number in numbers[3:]]
    return image.astype(np.uint8)


def questions(head: RewardHead) -> list[tuple[str, tuple[int, ...]]]:
    """Task and picture seeds of every question that ``head`` is asked before the golden ones are chosen."""
    pairs = [(seed, (seed + 1) % len(SEEDS)) for seed in SEEDS]
    return [(task, pair[1:] if head is RewardHead.COMPLETION else pair) for task in TASKS for pair in pairs]


def record(model: RewardModel, digest: str, dtype: str) -> Golden:
    """Ask ``model``, and keep per head the answers it is least sure of.

    Raises:
        BadInput: an answer is UNKNOWN, so that it cannot be golden.
    """
    return Golden(digest, dtype, dict(TOLERANCE), tuple(case for head in MODEL_HEADS for case in _cases(model, head)))


def _cases(model: RewardModel, head: RewardHead) -> list[GoldenCase]:
    asked = questions(head)
    estimates = model.score([_query(head, *one) for one in asked])
    for estimate in estimates:
        if not estimate.ok:
            raise BadInput(f"golden score of {head.value}", estimate.status.name, "OK", estimate.raw_text)
    kept = sorted(range(len(asked)), key=lambda i: estimates[i].confidence)[:KEPT]
    return [GoldenCase(head, *asked[i], estimates[i].value) for i in sorted(kept)]


def compare(model: RewardModel, golden: Golden, dtype: str) -> list[Comparison]:
    """Ask again; the tolerance is that of the coarser number format of then and now."""
    tolerance = max(golden.tolerance[dtype], golden.tolerance[golden.dtype])
    estimates = model.score([_query(case.head, case.task, case.pictures) for case in golden.cases])
    return [
        Comparison(case, e.value, tolerance, "" if e.ok else f"{e.status.name} {e.raw_text}".strip())
        for case, e in zip(golden.cases, estimates, strict=True)
    ]


def read(path: Path) -> Golden:
    """Read a file of golden scores.

    Raises:
        BadInput: there is none, or it is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise BadInput("golden scores", str(path), f"format {FORMAT}")
        tolerance = {name: float(content["tolerance"][name]) for name in TOLERANCE}
        return Golden(content["digest"], content["dtype"], tolerance, tuple(map(_case, content["cases"])))
    except OSError as error:
        raise BadInput("golden scores", str(path), "an existing file", "Write one with --write-golden.") from error
    except (ValueError, KeyError, TypeError) as error:
        allowed = "a file that --write-golden has written"
        raise BadInput("golden scores", str(path), allowed, f"{type(error).__name__}: {error}") from error


def doubt(folder: Path, digest: str) -> str:
    """Why the golden scores in ``folder`` do not speak for files of this ``digest``; empty when they do or are absent.

    Two adapters of the same shape in each other's folders, or a tokenizer with its words in another order, load without
    a fault: that something was changed since the golden scores were written is all that can be known without asking.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return ""
    try:
        same = read(path).digest == digest
    except BadInput as error:
        return str(error)
    return "" if same else f"{path} was written for other files than these: lrm model check tells what they score"


def write(golden: Golden, path: Path) -> None:
    """Write ``golden`` as JSON, one case per line."""
    head = {"format": FORMAT, "digest": golden.digest, "dtype": golden.dtype, "tolerance": golden.tolerance}
    lines = [json.dumps(_fields(case)) for case in golden.cases]
    body = json.dumps(head, indent=2)[:-2] + ',\n  "cases": [\n    ' + ",\n    ".join(lines) + "\n  ]\n}\n"
    try:
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        raise BadInput("golden scores", str(path), "a file that can be written", str(error.strerror)) from error


def _fields(case: GoldenCase) -> dict[str, Any]:
    return {"head": case.head.value, "task": case.task, "pictures": list(case.pictures), "value": case.value}


def _case(fields: dict[str, Any]) -> GoldenCase:
    value = float(fields["value"])
    if not math.isfinite(value):
        raise ValueError(f"the value {value} is not a number")
    return GoldenCase(RewardHead(fields["head"]), str(fields["task"]), tuple(map(int, fields["pictures"])), value)


def _query(head: RewardHead, task: str, pictures: Sequence[int]) -> RewardQuery:
    current = picture(pictures[-1])
    if len(pictures) == 1:
        return RewardQuery(head, task, current, 2)
    return RewardQuery(head, task, current, 2, picture(pictures[0]), 1)
