"""The one thread that owns the reward model: takes queries from a bounded queue, gives scored queries back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.cameras import verdict
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.query_queue import QueryQueue
from lrm_reward_node.schedule import ArrivedFrame, Query, View

ALL_HEADS = (*MODEL_HEADS, RewardHead.FUSED)


@dataclass(frozen=True, eq=False)
class ScoredQuery:
    """A query and what the heads said.

    Attributes:
        query: the query.
        estimates: the verdict, one per head; query 0 has no head that compares with an earlier query.
        by_camera: camera -> its own estimates, heads as above; empty with one camera, whose own are the verdict.
        scored_s: monotonic clock when the model was done; NaN when nothing was run.
        error: what went wrong in the model; empty when nothing did.
    """

    query: Query
    estimates: list[RewardEstimate]
    by_camera: dict[str, list[RewardEstimate]] = field(default_factory=dict)
    scored_s: float = float("nan")
    error: str = ""

    @property
    def late(self) -> bool:
        """True when the query was given up because something newer came, or its frames became too old."""
        return all(estimate.status is RewardStatus.LATE for estimate in self.estimates)

    @property
    def camera_faults(self) -> dict[str, str]:
        """Camera -> what is wrong with its picture."""
        rows = self.by_camera or {self.query.views[0].camera: self.estimates}
        faults = [(camera, e) for camera, row in rows.items() for e in row if e.status is RewardStatus.CAMERA_FAULT]
        return {camera: estimate.raw_text for camera, estimate in reversed(faults)}


def without_score(query: Query, status: RewardStatus, error: str = "") -> ScoredQuery:
    """UNKNOWN for every head of every camera, and so for the verdict."""
    heads = ALL_HEADS if query.index else (RewardHead.PROGRESS, RewardHead.COMPLETION)
    stamps_ns = {view.camera: view.current.stamp_ns if view.current else query.stamp_ns for view in query.views}
    rows = {camera: [unknown(head, status, stamp_ns=ns) for head in heads] for camera, ns in stamps_ns.items()}
    estimates = [unknown(head, status, stamp_ns=query.stamp_ns) for head in heads]
    return ScoredQuery(query, estimates, rows if len(rows) > 1 else {}, error=error)


def score(pipeline: RewardPipeline, query: Query, quorum: int = 0) -> ScoredQuery:
    """Ask every head about every camera's frame, in one batch; what never arrived is LOST for its camera.

    Args:
        pipeline: model and fusion.
        query: with at least one frame.
        quorum: cameras that have to know, see :func:`lrm_reward_node.cameras.verdict`.
    """
    return score_all(pipeline, [query], quorum)[0]


def score_all(pipeline: RewardPipeline, queries: Sequence[Query], quorum: int = 0) -> list[ScoredQuery]:
    """Several queries, as for :func:`score`, in one batch of the model."""
    seen = [(query, view, view.current) for query in queries for view in query.views if view.current is not None]
    items = [(query.plan.task, view.initial, view.previous, current) for query, view, current in seen]
    rows = iter(pipeline.score_batch(items))
    found: dict[int, dict[str, list[RewardEstimate]]] = {id(query): {} for query in queries}
    for query, view, _ in seen:
        found[id(query)][view.camera] = next(rows)
    return [_scored(pipeline, query, found[id(query)], quorum) for query in queries]


def _scored(pipeline: RewardPipeline, query: Query, found: dict[str, list[RewardEstimate]], quorum: int) -> ScoredQuery:
    heads = {view.camera: _heads(query, view, found.get(view.camera, [])) for view in query.views}
    verdicts = [verdict({camera: row[i] for camera, row in heads.items()}, quorum) for i in range(len(MODEL_HEADS))]
    rows = {camera: _published(query, [*row, pipeline.fusion(row)]) for camera, row in heads.items()}
    failed = (e.raw_text for row in rows.values() for e in row if e.status is RewardStatus.MODEL_ERROR)
    return ScoredQuery(
        query, _published(query, [*verdicts, pipeline.fusion(verdicts)]), rows if len(rows) > 1 else {},
        scored_s=time.monotonic(), error=next(failed, ""),
    )  # fmt: skip


def _heads(query: Query, view: View, row: Sequence[RewardEstimate]) -> list[RewardEstimate]:
    """The three heads' estimates of one camera; a head whose frame or reference frame never arrived is LOST."""
    if view.current is None:
        return [
            unknown(head, RewardStatus.LOST, stamp_ns=query.stamp_ns, raw_text="the frame never arrived")
            if query.index or head is not RewardHead.CONTRASTIVE
            else unknown(head, RewardStatus.NO_REFERENCE, stamp_ns=query.stamp_ns)
            for head in MODEL_HEADS
        ]
    heads = [estimate for estimate in row if estimate.head in MODEL_HEADS]
    if query.index == 0:
        return heads
    references = {RewardHead.CONTRASTIVE: view.previous, RewardHead.PROGRESS: view.initial}
    return [_lost_without(references.get(estimate.head, view.current), estimate) for estimate in heads]


def _published(query: Query, estimates: list[RewardEstimate]) -> list[RewardEstimate]:
    """Without what compares with an earlier query in query 0, where nothing came before."""
    return [estimate for estimate in estimates if query.index or estimate.status is not RewardStatus.NO_REFERENCE]


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
        quorum: cameras that have to know, see :func:`lrm_reward_node.cameras.verdict`.
        memory: what a restarted node needs; written before a query is scored.
        too_old: True for a query whose frames have become too old to be of use. It is not scored, unless it is final.
        on_result: called from the thread when :meth:`results` has something; must not block.
    """

    def __init__(
        self,
        pipeline: RewardPipeline,
        quorum: int,
        memory: EpisodeMemory,
        too_old: Callable[[Query], bool],
        on_result: Callable[[], None],
    ) -> None:
        self._pipeline, self._quorum, self._memory = pipeline, quorum, memory
        self._too_old, self._on_result = too_old, on_result
        self._queue = QueryQueue()
        self._results: deque[ScoredQuery] = deque()
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)

    @property
    def queued(self) -> int:
        """Queries that wait."""
        return len(self._queue)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, query: Query, keep: bool = False) -> None:
        """Score ``query`` when its turn comes; one without any frame is LOST at once.

        A regular query gives way to the next one, and is LATE then, unless ``keep`` says otherwise.
        """
        if query.frame is None:
            self._finish(without_score(query, RewardStatus.LOST))
            return
        gave_way = self._queue.put(query, keep)
        if gave_way is not None:
            self._finish(without_score(gave_way, RewardStatus.LATE))

    def keep(self, query: Query) -> bool:
        """Take ``query``, now final, for the waiting one of the same key; False when none waits."""
        return self._queue.keep(query)

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
        if not query.final and self._too_old(query):
            return without_score(query, RewardStatus.LATE)
        try:
            return score(self._pipeline, query, self._quorum)
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
