"""The one thread that owns the reward model: takes queries from a bounded queue, gives scored queries back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.query_queue import QueryQueue
from lrm_reward_node.schedule import ArrivedFrame, Query

ALL_HEADS = (*MODEL_HEADS, RewardHead.FUSED)


@dataclass(frozen=True)
class ScoredQuery:
    """A query and what the heads said.

    Attributes:
        query: the query.
        estimates: one per head; query 0 has no head that compares with an earlier query.
        scored_s: monotonic clock when the model was done; NaN when nothing was run.
        error: what went wrong in the model; empty when nothing did.
    """

    query: Query
    estimates: list[RewardEstimate]
    scored_s: float = float("nan")
    error: str = ""


def without_score(query: Query, status: RewardStatus, error: str = "") -> ScoredQuery:
    """UNKNOWN for every head of ``query``."""
    heads = ALL_HEADS if query.index else (RewardHead.PROGRESS, RewardHead.COMPLETION)
    return ScoredQuery(query, [unknown(head, status, stamp_ns=query.stamp_ns) for head in heads], error=error)


def score(pipeline: RewardPipeline, query: Query) -> list[RewardEstimate]:
    """Ask every head about ``query.current``; a head whose reference frame never arrived is LOST."""
    assert query.current is not None
    estimates = pipeline.score(query.plan.task, query.initial, query.previous, query.current)
    references = {RewardHead.CONTRASTIVE: query.previous, RewardHead.PROGRESS: query.initial}
    if query.index == 0:
        # Nothing came before: only what can be said about a single frame, and about the reset frame itself.
        return [estimate for estimate in estimates if estimate.status is not RewardStatus.NO_REFERENCE]
    heads = [_lost_without(references.get(e.head, query.current), e) for e in estimates if e.head in MODEL_HEADS]
    return [*heads, pipeline.fusion(heads)]


def _lost_without(reference: ArrivedFrame | None, estimate: RewardEstimate) -> RewardEstimate:
    if reference is not None:
        return estimate
    return unknown(
        estimate.head, RewardStatus.LOST, stamp_ns=estimate.stamp_ns, fingerprint=estimate.fingerprint,
        raw_text="the reference frame never arrived",
    )  # fmt: skip


class Scorer:
    """Runs the pipeline in a thread.

    Args:
        pipeline: model and fusion.
        memory: what a restarted node needs; written before a query is scored.
        capacity: most queries that wait.
        too_old: True for a query whose frame has become too old to be of use; it is not scored.
        on_result: called from the thread when :meth:`results` has something; must not block.
    """

    def __init__(
        self,
        pipeline: RewardPipeline,
        memory: EpisodeMemory,
        capacity: int,
        too_old: Callable[[Query], bool],
        on_result: Callable[[], None],
    ) -> None:
        self._pipeline, self._memory, self._too_old, self._on_result = pipeline, memory, too_old, on_result
        self._queue = QueryQueue(capacity)
        self._results: deque[ScoredQuery] = deque()
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)

    @property
    def queued(self) -> int:
        """Queries that wait."""
        return len(self._queue)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, query: Query) -> None:
        """Score ``query`` when its turn comes. A query without frame is LOST at once."""
        if query.current is None:
            self._finish(without_score(query, RewardStatus.LOST))
            return
        gave_way = self._queue.put(query)
        if gave_way is not None:
            self._finish(without_score(gave_way, RewardStatus.LATE))

    def results(self) -> list[ScoredQuery]:
        """What was scored since the last call, oldest first."""
        return [self._results.popleft() for _ in range(len(self._results))]

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the query it works on. False when that took longer than ``timeout_s``.

        From here on nobody is told of results; the caller asks for the last ones itself.
        """
        self._on_result = _tell_nobody
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (query := self._queue.take()) is not None:
            self._finish(self._score(query))

    def _score(self, query: Query) -> ScoredQuery:
        self._memory.store(query)
        if self._too_old(query):
            return without_score(query, RewardStatus.LATE)
        try:
            estimates = score(self._pipeline, query)
            failed = (e.raw_text for e in estimates if e.status is RewardStatus.MODEL_ERROR)
            return ScoredQuery(query, estimates, time.monotonic(), next(failed, ""))
        except Exception as error:  # Whatever a model raises, its frame is UNKNOWN and the node lives on.
            return without_score(query, RewardStatus.MODEL_ERROR, f"{type(error).__name__}: {error}")

    def _finish(self, scored: ScoredQuery) -> None:
        self._results.append(scored)
        self._on_result()


def _tell_nobody() -> None:
    """For results that come after the end."""


def as_final(scored: ScoredQuery) -> ScoredQuery:
    """The same result, marked as the end of its episode."""
    return replace(scored, query=replace(scored.query, final=True))
