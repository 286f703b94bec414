"""Ask the reward model about whole episodes, in this process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.evaluation.episodes import FRAME_NS, score_frames
from lrm_reward_node.hacks.attack import Attacked
from lrm_reward_node.pipeline import RewardPipeline

HEADS = MODEL_HEADS


@dataclass(frozen=True)
class Answers:
    """What the model said about Q queries of one episode.

    Attributes:
        values: (Q,) per head; NaN is UNKNOWN.
        status: (Q,) name of the status of completion.
        fingerprint: of the model.
    """

    values: Mapping[RewardHead, np.ndarray]
    status: tuple[str, ...]
    fingerprint: str


Scorer = Callable[[Iterable[Attacked]], Iterator[Answers]]
"""One answer per episode, in order."""


def answers(pipeline: RewardPipeline, shown: Attacked) -> Answers:
    """Score one episode as the live node does, at every query."""
    rows = score_frames(pipeline, shown.task, shown.frames, (np.arange(len(shown.frames)) + 1) * FRAME_NS)
    by_head = {head: [e for row in rows for e in row if e.head is head] for head in HEADS}
    values = {head: np.array([e.value for e in estimates]) for head, estimates in by_head.items()}
    status = tuple(e.status.name for e in by_head[RewardHead.COMPLETION])
    return Answers(values, status, pipeline.model.fingerprint)


@contextmanager
def scorer(open_pipeline: Callable[[], RewardPipeline], workers: int) -> Iterator[Scorer]:
    """A scorer in ``workers`` processes, each with a pipeline of its own; one: in this process.

    Args:
        open_pipeline: makes the pipeline; with several workers it has to be picklable. What it raises is raised here.
        workers: processes.
    """
    if workers <= 1:
        pipeline = open_pipeline()
        yield lambda episodes: (answers(pipeline, episode) for episode in episodes)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _set_up, (open_pipeline,))
    try:
        pool.submit(_open).result()
        yield lambda episodes: pool.map(_answers, episodes)
    finally:
        pool.shutdown(cancel_futures=True)


_open_pipeline: Callable[[], RewardPipeline] | None = None


def _set_up(open_pipeline: Callable[[], RewardPipeline]) -> None:
    # Opened by the first task, whose error comes back; that of a set-up does not.
    global _open_pipeline
    _open_pipeline = cache(open_pipeline)


def _open() -> None:
    assert _open_pipeline is not None
    _open_pipeline()


def _answers(shown: Attacked) -> Answers:
    assert _open_pipeline is not None
    return answers(_open_pipeline(), shown)
