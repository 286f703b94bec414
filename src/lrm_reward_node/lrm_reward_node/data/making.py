"""The questions of one episode with their answers: which frames, which sentence, which answer, and how it is known.

Progress is time within the active part of a success, or the truth where a simulator tells it. Nobody knows the
progress of a failure from its clock, so there it is not asked for: a failure answers that it is not done, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lrm_core.rewards import RewardHead
from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.manifest import Sampling
from lrm_reward_node.readout import ANSWERS

HEADS = (RewardHead.CONTRASTIVE, RewardHead.PROGRESS, RewardHead.COMPLETION)
TIE = 0.03
"""Frames whose true progress differs by less are not compared: nobody could tell which is closer. By the clock the
later one always is."""
NOT_DONE = 0.8
"""Up to this share of its time a success is certainly not done; what comes later is not asked by the clock."""


@dataclass(frozen=True)
class Question:
    """One sample before it is stored.

    Attributes:
        head: which prompt.
        task: sentence in the prompt; not that of the episode where ``made`` says so.
        frames: kept frames in the order of the prompt's pictures.
        answer: number of the answer in ``lrm_reward_node.readout.ANSWERS[head]``.
        target: exact value, unit of the head; progress between two levels keeps its fraction.
        made: how the answer is known; one of :data:`MADE`.
        initial, goal: a progress prompt with that picture.
    """

    head: RewardHead
    task: str
    frames: tuple[int, ...]
    answer: int
    target: float
    made: str
    initial: bool = False
    goal: bool = False


MADE = (
    "clock", "truth", "success_end", "recorded_failure",
    "truncated", "rewound", "wrong_sentence", "other_object", "frozen",
)  # fmt: skip
"""``clock``: time within a success. ``truth``: the simulator's. ``success_end``: the end of a success.
``recorded_failure``: a failure as it happened. The rest are made: see ``docs/data.md``."""


@dataclass(frozen=True)
class OtherTasks:
    """Sentences of the same split that are not the episode's: ``near`` ones share most words with it."""

    near: Sequence[str] = ()
    far: Sequence[str] = ()


def questions(facts: Facts, sampling: Sampling, others: OtherTasks, rng: np.random.Generator) -> Iterator[Question]:
    """Everything that an episode answers; nothing where it answers nothing."""
    frames = len(facts.stamps_ns)
    progress, how = progress_of(facts, sampling.trim)
    if progress is not None:
        yield from _progress(facts, progress, how, sampling, rng)
        yield from _contrastive(facts, progress, how, sampling)
    yield from _completion(facts, progress)
    if facts.episode.outcome == "success" and frames:
        yield from _made(facts, sampling, others, rng)


def progress_of(facts: Facts, trim: bool = True) -> tuple[np.ndarray | None, str]:
    """(K,) progress of the kept frames, NaN where nobody knows it, and how it is known; None where nothing is known."""
    if facts.progress:
        return np.array(facts.progress, np.float64), "truth"
    if facts.episode.outcome != "success":
        return None, ""
    stamps = np.array(facts.stamps_ns, np.float64)
    start, end = (facts.start, facts.end) if trim else (0, len(stamps) - 1)
    share = (stamps - stamps[start]) / (stamps[end] - stamps[start])
    return np.where((share < 0.0) | (share > 1.0), np.nan, share), "clock"


def level(progress: float) -> int:
    """Number of the nearest of the eleven levels 0.0 to 1.0; half goes up."""
    return int(np.clip(np.floor(progress * 10.0 + 0.5), 0, 10))


def _progress(
    facts: Facts, progress: np.ndarray, how: str, sampling: Sampling, rng: np.random.Generator
) -> Iterator[Question]:
    last = len(progress) - 1
    success = facts.episode.outcome == "success"
    for frame in np.flatnonzero(np.isfinite(progress)):
        with_initial, with_goal = rng.random() < sampling.initial, success and rng.random() < sampling.goal
        pictures = (last,) * with_goal + (0,) * with_initial + (int(frame),)
        value = float(progress[frame])
        yield Question(
            RewardHead.PROGRESS, facts.episode.task, pictures, level(value), value, how, with_initial, with_goal
        )


def _contrastive(facts: Facts, progress: np.ndarray, how: str, sampling: Sampling) -> Iterator[Question]:
    """Pairs in both orders: a model that always says the newer one must be wrong half of the time."""
    least = TIE if how == "truth" else np.finfo(float).tiny
    for gap in sampling.gaps:
        for newer in range(gap, len(progress)):
            gain = progress[newer] - progress[newer - gap]
            if not abs(gain) >= least:  # also where one of them is unknown
                continue
            for frames, sign in (((newer - gap, newer), gain), ((newer, newer - gap), -gain)):
                made = how if frames[0] < frames[1] else "rewound"
                if made != "rewound" or "rewound" in sampling.negatives:
                    answer = int(sign > 0)
                    target = ANSWERS[RewardHead.CONTRASTIVE].values[answer]
                    yield Question(RewardHead.CONTRASTIVE, facts.episode.task, frames, answer, target, made)


def _completion(facts: Facts, progress: np.ndarray | None) -> Iterator[Question]:
    if facts.success:
        for frame, done in enumerate(facts.success):
            if done is not None:
                yield completion(facts.episode.task, frame, done, "truth")
    elif facts.episode.outcome == "failure":
        for frame in range(len(facts.stamps_ns)):
            yield completion(facts.episode.task, frame, False, "recorded_failure")
    elif progress is not None:
        for frame in range(facts.end, len(facts.stamps_ns)):
            yield completion(facts.episode.task, frame, True, "success_end")


def completion(task: str, frame: int, done: bool, made: str) -> Question:
    """Whether ``task`` is done in one frame."""
    return Question(RewardHead.COMPLETION, task, (frame,), int(done), float(done), made)


def _made(facts: Facts, sampling: Sampling, others: OtherTasks, rng: np.random.Generator) -> Iterator[Question]:
    most = sampling.negatives_per_episode
    task, last = facts.episode.task, len(facts.stamps_ns) - 1
    if "truncated" in sampling.negatives:
        for frame in _some(_unfinished(facts), most, rng):
            yield completion(task, frame, False, "truncated")
    if "frozen" in sampling.negatives:
        yield from _frozen(facts)
    for made, sentences in (("wrong_sentence", others.far), ("other_object", others.near)):
        if made in sampling.negatives:
            for index in _some(range(len(sentences)), most, rng):
                yield completion(sentences[index], last, False, made)
                yield Question(RewardHead.PROGRESS, sentences[index], (0, last), 0, 0.0, made, initial=True)


def _frozen(facts: Facts) -> Iterator[Question]:
    """The camera stands still: the first picture, whatever the time. What is true of it stays so."""
    progress = facts.progress[0] if facts.progress else 0.0
    done = facts.success[0] if facts.success else False
    if progress is not None:
        yield Question(
            RewardHead.PROGRESS, facts.episode.task, (0, 0), level(progress), progress, "frozen", initial=True
        )
    if done is not None:
        yield completion(facts.episode.task, 0, done, "frozen")


def _unfinished(facts: Facts) -> list[int]:
    """Frames at which a success, cut off there, is a failure; none where the truth says so anyway."""
    if facts.success:
        return []
    progress, _ = progress_of(facts)
    assert progress is not None  # a success has a clock
    return [int(frame) for frame in np.flatnonzero(progress <= NOT_DONE)]


def _some(items: Sequence[int] | range, most: int, rng: np.random.Generator) -> list[int]:
    index = np.sort(rng.permutation(len(items))[:most])
    return [items[int(i)] for i in index]
