"""A recording through one or several models: decoded in a thread, scored in full batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lrm_bringup.replay.events import EpisodeSeen, FrameSeen, Recording, RewardRecorded
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.series import Series, answers
from lrm_bringup.replay.timing import CameraTiming
from lrm_bringup.replay.timing import problems as timing_problems
from lrm_reward_node.schedule import Query
from lrm_reward_node.scorer import ScoredQuery, as_final

_WAITING = 2
"""Batches that wait for the model: more would only take memory."""
_REMEMBERED = 8
"""Queries that may still turn out to be the last of their episode."""


@dataclass(frozen=True, eq=False)
class AskedQuery:
    """A query, and the log time (nanoseconds) of what made it possible."""

    query: Query
    log_ns: int


@dataclass(frozen=True, eq=False)
class ReplayedQuery:
    """One query as every series answered it, in their order."""

    asked: AskedQuery
    answers: list[ScoredQuery]


@dataclass
class Decoded:
    """What the decoding thread met beside the queries.

    Attributes:
        frames: camera frames so far.
        recorded: rewards that the bag holds, the newest of each (episode, head, stamp).
        cameras: camera -> when its frames came.
        problems: of the schedule and of those times.
    """

    frames: int = 0
    recorded: dict[tuple[str, str, int], RewardRecorded] = field(default_factory=dict)
    cameras: dict[str, CameraTiming] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def queries(recording: Recording, schedule: ReplaySchedule, decoded: Decoded) -> Iterator[AskedQuery]:
    """The queries of a recording; counts and recorded rewards go to ``decoded``."""
    log_ns, episode_id = 0, ""
    decoded.cameras = {camera: CameraTiming() for camera in recording.cameras}
    for event in recording.events():
        log_ns = event.log_ns
        found: Iterator[Query] = iter(())
        if isinstance(event, FrameSeen):
            decoded.frames += 1
            decoded.cameras[event.frame.camera].add(event.frame.stamp_ns)
            found = schedule.frame(event.frame)
        elif isinstance(event, EpisodeSeen):
            if event.episode_id != episode_id:
                episode_id = event.episode_id
                for timing in decoded.cameras.values():
                    timing.pause()
            found = schedule.episode(event.episode_id, event.plan, event.stamp_ns, event.end_ns)
        else:
            decoded.recorded[event.episode_id, event.head, event.stamp_ns] = event
        for query in found:
            yield AskedQuery(query, log_ns)
    for query in schedule.close():
        yield AskedQuery(query, log_ns)
    decoded.problems = [*schedule.problems, *timing_problems(decoded.cameras)]


def replay(
    asked: Iterator[AskedQuery],
    series: Sequence[Series],
    batch: int,
    quorum: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[ReplayedQuery]:
    """Every query once, in order, scored by every series. One that turned out final is given again, not scored again.

    Args:
        asked: the queries.
        series: models, modes and tasks.
        batch: queries in one batch of a model.
        quorum: cameras that have to know, see :func:`lrm_reward_node.cameras.verdict`.
        progress: called after every batch.
    """
    newest: dict[tuple[str, int], ReplayedQuery] = {}
    for group in _ahead(_grouped(asked, batch)):
        fresh = [one for one in group if one.query.key not in newest]
        fresh = list({one.query.key: one for one in reversed(fresh)}.values())[::-1]
        said = [answers(named, [one.query for one in fresh], quorum) for named in series]
        for one, *scored in zip(fresh, *said, strict=True):
            newest[one.query.key] = ReplayedQuery(one, list(scored))
        for one in group:
            found = newest[one.query.key]
            if one.query.final and not found.asked.query.final:
                found = ReplayedQuery(one, [as_final(answer) for answer in found.answers])
            yield found
        newest = dict(list(newest.items())[-max(batch, _REMEMBERED) :])
        progress()


def _grouped(asked: Iterator[AskedQuery], size: int) -> Iterator[list[AskedQuery]]:
    group: list[AskedQuery] = []
    for one in asked:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _ahead[T](items: Iterator[T]) -> Iterator[T]:
    """``items``, produced in a thread of their own, a few ahead. What the thread raises is raised here."""
    end = object()
    with ThreadPoolExecutor(1, "decoder") as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(_WAITING))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            thread.shutdown(cancel_futures=True)
