"""What the heads state about the recordings of a training set, for their calibration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.data.samples import Sample, Samples, open_samples
from lrm_reward_node.evaluation.calibration import Stated
from lrm_reward_node.model import RewardModel, RewardQuery

AS_LIVE = ("truth", "clock", "success_end", "recorded_failure")
"""How answers are known of questions that a live run asks as well: nothing truncated or asked of another task."""
BACKWARDS = "rewound"
"""Comparisons are calibrated on both orders: in demonstrations the newer frame is nearly always the closer one."""
BATCH = 16


def stated_of_recordings(
    model: RewardModel, folder: Path, split: str, most: int, told: Callable[[RewardHead, int, int], None]
) -> Stated:
    """Ask about recorded frames whose answer is known.

    Args:
        model: without calibration.
        folder: of a finished ``lrm data build``.
        split: train, validation or test.
        most: questions per head, spread evenly; fewer where there are fewer.
        told: is told head, questions so far, and all of them.

    Raises:
        BadInput: a head has no such question in this split.
    """
    found = {}
    for head in MODEL_HEADS:
        samples = open_samples(folder, head.value, split)
        chosen = _chosen(samples, most)
        if not chosen:
            fix = "Give it a share in the manifest (splits), and episodes whose outcome is known."
            raise BadInput(f"{head.value} in split {split} of {folder}", 0, "questions with a known answer", fix)
        found[head] = _asked(model, samples, chosen, lambda done, total, head=head: told(head, done, total))  # type: ignore[misc]
    completion, contrastive, progress = (
        found[head] for head in (RewardHead.COMPLETION, RewardHead.CONTRASTIVE, RewardHead.PROGRESS)
    )
    return Stated(
        completion[0], completion[1] > 0.5, (contrastive[0] + 1.0) / 2.0, contrastive[1] > 0.0,
        progress[0] - progress[1], progress[2],
    )  # fmt: skip


def _chosen(samples: Samples, most: int) -> list[int]:
    made = (*AS_LIVE, BACKWARDS) if samples.head is RewardHead.CONTRASTIVE else AS_LIVE
    known = [number for number, how in enumerate(samples.made(sys.maxsize)) if how in made]
    return [known[int(at)] for at in np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round())]


def _asked(
    model: RewardModel, samples: Samples, chosen: Sequence[int], told: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, truth and uncertainty (N,) of the questions that were answered."""
    rows: list[tuple[float, float, float]] = []
    for start in range(0, len(chosen), BATCH):
        asked = [samples[number] for number in chosen[start : start + BATCH]]
        answers = model.score([query_of(sample) for sample in asked])
        pairs = [(sample, answer) for sample, answer in zip(asked, answers, strict=True) if answer.ok]
        rows += [(answer.value, sample.target, answer.uncertainty) for sample, answer in pairs]
        told(min(start + BATCH, len(chosen)), len(chosen))
    columns = np.array(rows, np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def query_of(sample: Sample) -> RewardQuery:
    """The question of a sample; pictures in the order of the prompt, the scored one last."""
    *before, current = sample.images
    *_, newest = stamps = sample.origin["stamps_ns"]
    goal = before.pop(0) if sample.goal else None
    reference = before.pop(0) if before else None
    reference_ns = stamps[-2] if reference is not None else 0
    return RewardQuery(RewardHead(sample.head), sample.task, current, newest, reference, reference_ns, goal)
