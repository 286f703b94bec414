"""What stands side by side in a replay: a model or a mode, asked about one task, under the name that pages give it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits, faulty_heads
from lrm_reward_node.cameras import verdict
from lrm_reward_node.modes.mode import RewardMode, Window
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.schedule import Query, View
from lrm_reward_node.scorer import ScoredQuery, score_all, without_score

ALL_HEADS = tuple(RewardHead)
MAX_KEPT = 128
"""Query frames of one episode and camera that are kept for a video: of a longer one every second, fourth ... is."""


class Series(Protocol):
    """Scores queries.

    Attributes:
        label: name in files and on pages, unique in a replay.
        task: asked in place of the recording's; empty: the recording's.
        heads: kinds of rewards it gives.
        fingerprint: the same one is the same function.
    """

    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def heads(self) -> tuple[RewardHead, ...]: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def mode_of(self, head: RewardHead) -> str:
        """Name of the reward mode that gives ``head``."""
        ...

    def about(self) -> dict[str, Any]:
        """What its answers depend on, for JSON."""
        ...

    def score(self, queries: Sequence[Query], quorum: int) -> list[ScoredQuery]:
        """Score queries that have at least one frame, in the order of the recording. May raise."""
        ...


@dataclass(frozen=True)
class NamedPipeline:
    """The heads of a Large Reward Model and their fusion, all or some of them; see :class:`Series`."""

    label: str
    pipeline: RewardPipeline
    task: str = ""
    heads: tuple[RewardHead, ...] = ALL_HEADS
    node: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of a reward node that answers so, as far as they are known."""

    @property
    def fingerprint(self) -> str:
        """That of the model."""
        return self.pipeline.model.fingerprint

    def mode_of(self, head: RewardHead) -> str:
        """The name of the head; the fusion is the mode ``tri``."""
        return "tri" if head is RewardHead.FUSED else head.value

    def about(self) -> dict[str, Any]:
        """Model, fusion and checks."""
        fusion, goal = self.pipeline.fusion, self.pipeline.goal
        return {
            "fingerprint": self.fingerprint, "task": self.task, "heads": [head.value for head in self.heads],
            "fusion": fusion.form,
            "weights": {head.value: share for head, share in fusion.weights.items()},
            "min_confidence": self.pipeline.min_confidence, "camera_check": str(self.pipeline.limits),
            "goal": None if goal is None else hashlib.sha256(goal.tobytes()).hexdigest(),
        }  # fmt: skip

    def score(self, queries: Sequence[Query], quorum: int) -> list[ScoredQuery]:
        """One batch of the model."""
        return [only(self.heads, scored) for scored in score_all(self.pipeline, queries, quorum)]


@dataclass(frozen=True, eq=False)
class NamedMode:
    """A reward mode with a model of its own, for one recording; see :class:`Series`.

    Pictures are checked as before any other model.
    """

    label: str
    mode: RewardMode
    task: str = ""
    limits: CameraLimits = NO_LIMITS
    videos: Videos = field(default_factory=lambda: Videos())

    @property
    def heads(self) -> tuple[RewardHead, ...]:
        """The one kind of reward that the mode gives."""
        return (self.mode.spec.head,)

    @property
    def fingerprint(self) -> str:
        """That of the mode."""
        return self.mode.fingerprint

    def mode_of(self, head: RewardHead) -> str:
        """The mode."""
        return self.mode.spec.name

    def about(self) -> dict[str, Any]:
        """Mode and checks."""
        mode, checks = self.mode.spec.name, str(self.limits)
        return {"fingerprint": self.fingerprint, "task": self.task, "mode": mode, "camera_check": checks}

    def score(self, queries: Sequence[Query], quorum: int) -> list[ScoredQuery]:
        """One query after the other: a mode takes one window at a time."""
        return [self._scored(query, quorum) for query in queries]

    def _scored(self, query: Query, quorum: int) -> ScoredQuery:
        views = {view.camera: self._estimate(query, view) for view in query.views}
        rows = {camera: _published(query, estimate) for camera, estimate in views.items()}
        errors = (e.raw_text for e in views.values() if e.status is RewardStatus.MODEL_ERROR)
        return ScoredQuery(
            query, _published(query, verdict(views, quorum)), rows if len(rows) > 1 else {}, error=next(errors, "")
        )

    def _estimate(self, query: Query, view: View) -> RewardEstimate:
        spec, current = self.mode.spec, view.current
        if current is None:
            return _lost(spec.head, query.stamp_ns, "the frame never arrived")
        video = self.videos.window(query.plan.episode_id, view.camera, current)
        wanted = {"initial": view.initial, "previous": view.previous}
        if query.index and any(getattr(spec.needs, name) and frame is None for name, frame in wanted.items()):
            return _lost(spec.head, current.stamp_ns, "the reference frame never arrived")
        before = view.previous.rgb if view.previous else None
        faults = faulty_heads(self.limits, view.initial.rgb if view.initial else None, before, current.rgb)
        if spec.head in faults:
            return unknown(spec.head, RewardStatus.CAMERA_FAULT, stamp_ns=current.stamp_ns, raw_text=faults[spec.head])
        shown = video if spec.needs.video_frames else ()
        return self.mode.score(Window(query.plan.task, current, view.initial, view.previous, shown))


@dataclass
class Videos:
    """The query frames of the episode that is scored, by camera: evenly thinned when they become many."""

    _episode: str = ""
    _kept: dict[str, list[CameraFrame]] = field(default_factory=dict)
    _stride: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _newest_ns: dict[str, int] = field(default_factory=dict)

    def window(self, episode: str, camera: str, current: CameraFrame) -> tuple[CameraFrame, ...]:
        """Frames of the episode up to ``current``, oldest first, the first one and ``current`` always among them."""
        if episode != self._episode:
            self._episode, self._kept, self._stride, self._seen, self._newest_ns = episode, {}, {}, {}, {}
        kept = self._kept.setdefault(camera, [])
        if current.stamp_ns > self._newest_ns.get(camera, -1):  # not one that is asked again
            self._newest_ns[camera] = current.stamp_ns
            self._take(camera, kept, current)
        return (*(frame for frame in kept if frame.stamp_ns < current.stamp_ns), current)

    def _take(self, camera: str, kept: list[CameraFrame], frame: CameraFrame) -> None:
        number, stride = self._seen.get(camera, 0), self._stride.get(camera, 1)
        self._seen[camera] = number + 1
        if number % stride == 0:
            kept.append(frame)
        if len(kept) > MAX_KEPT:
            del kept[1::2]
            self._stride[camera] = 2 * stride


def only(heads: Sequence[RewardHead], scored: ScoredQuery) -> ScoredQuery:
    """``scored`` with the estimates of ``heads`` alone."""
    if len(heads) == len(ALL_HEADS):
        return scored
    cameras = {camera: _of(heads, row) for camera, row in scored.by_camera.items()}
    return replace(scored, estimates=_of(heads, scored.estimates), by_camera=cameras)


def answers(series: Series, wanted: Sequence[Query], quorum: int) -> list[ScoredQuery]:
    """What ``series`` says about every query, with its own task; whatever a model raises costs its frame alone."""
    asked = [replace(query, plan=replace(query.plan, task=series.task or query.plan.task)) for query in wanted]
    return list(_answers(series, asked, quorum))


def _answers(series: Series, wanted: Sequence[Query], quorum: int) -> Iterator[ScoredQuery]:
    seen = [query for query in wanted if query.frame is not None]
    try:
        scored = series.score(seen, quorum) if seen else []
    except Exception as error:  # as live: its frame is UNKNOWN and the others are scored
        if len(seen) > 1:
            yield from (one for query in wanted for one in _answers(series, [query], quorum))
            return
        text = f"{type(error).__name__}: {error}"
        scored = [only(series.heads, without_score(seen[0], RewardStatus.MODEL_ERROR, text))]
    by_key = {one.query.key: one for one in scored}
    for query in wanted:
        yield by_key.get(query.key) or only(series.heads, without_score(query, RewardStatus.LOST))


def _of(heads: Sequence[RewardHead], row: Sequence[RewardEstimate]) -> list[RewardEstimate]:
    return [estimate for estimate in row if estimate.head in heads]


def _published(query: Query, estimate: RewardEstimate) -> list[RewardEstimate]:
    """Nothing where the first query has nothing to compare with, as live."""
    return [estimate] if query.index or estimate.status is not RewardStatus.NO_REFERENCE else []


def _lost(head: RewardHead, stamp_ns: int, why: str) -> RewardEstimate:
    return unknown(head, RewardStatus.LOST, stamp_ns=stamp_ns, raw_text=why)
