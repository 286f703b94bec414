"""A recording through one or several models: decoded in a thread, scored in full batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lrm_bringup.replay.events import EpisodeSeen, FrameSeen, Recording, RewardRecorded
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_core.rewards import RewardStatus
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.schedule import Query
from lrm_reward_node.scorer import ScoredQuery, as_final, score_all, without_score

_WAITING = 2
"""Batches that wait for the model: more would only take memory."""
_REMEMBERED = 8
"""Queries that may still turn out to be the last of their episode."""


@dataclass(frozen=True)
class NamedPipeline:
    """A model under the name that files and pages give it."""

    label: str
    pipeline: RewardPipeline


@dataclass(frozen=True, eq=False)
class AskedQuery:
    """A query, and the log time (nanoseconds) of what made it possible."""

    query: Query
    log_ns: int


@dataclass(frozen=True, eq=False)
class ReplayedQuery:
    """One query as every model answered it, in the order of the models."""

    asked: AskedQuery
    answers: list[ScoredQuery]


@dataclass
class Decoded:
    """What the decoding thread met beside the queries.

    Attributes:
        frames: camera frames so far.
        recorded: rewards that the bag holds, the newest of each (episode, head, stamp).
        problems: of the schedule.
    """

    frames: int = 0
    recorded: dict[tuple[str, str, int], RewardRecorded] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def queries(recording: Recording, schedule: ReplaySchedule, decoded: Decoded) -> Iterator[AskedQuery]:
    """The queries of a recording; counts and recorded rewards go to ``decoded``."""
    log_ns = 0
    for event in recording.events():
        log_ns = event.log_ns
        found: Iterator[Query] = iter(())
        if isinstance(event, FrameSeen):
            decoded.frames += 1
            found = schedule.frame(event.frame)
        elif isinstance(event, EpisodeSeen):
            found = schedule.episode(event.episode_id, event.plan, event.stamp_ns, event.end_ns)
        else:
            decoded.recorded[event.episode_id, event.head, event.stamp_ns] = event
        for query in found:
            yield AskedQuery(query, log_ns)
    for query in schedule.close():
        yield AskedQuery(query, log_ns)
    decoded.problems = schedule.problems


def replay(
    asked: Iterator[AskedQuery],
    pipelines: Sequence[NamedPipeline],
    batch: int,
    quorum: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[ReplayedQuery]:
    """Every query once, in order, scored by every model. One that turned out final is given again, not scored again.

    Args:
        asked: the queries.
        pipelines: the models.
        batch: queries in one batch of a model.
        quorum: cameras that have to know, see :func:`lrm_reward_node.cameras.verdict`.
        progress: called after every batch.
    """
    newest: dict[tuple[str, int], ReplayedQuery] = {}
    for group in _ahead(_grouped(asked, batch)):
        fresh = [one for one in group if one.query.key not in newest]
        fresh = list({one.query.key: one for one in reversed(fresh)}.values())[::-1]
        answers = [_score(named.pipeline, [one.query for one in fresh], quorum) for named in pipelines]
        for one, *scored in zip(fresh, *answers, strict=True):
            newest[one.query.key] = ReplayedQuery(one, list(scored))
        for one in group:
            found = newest[one.query.key]
            if one.query.final and not found.asked.query.final:
                found = ReplayedQuery(one, [as_final(answer) for answer in found.answers])
            yield found
        newest = dict(list(newest.items())[-max(batch, _REMEMBERED) :])
        progress()


def _score(pipeline: RewardPipeline, wanted: Sequence[Query], quorum: int) -> list[ScoredQuery]:
    seen = [query for query in wanted if query.frame is not None]
    try:
        scored = score_all(pipeline, seen, quorum) if seen else []
    except Exception as error:  # as live: whatever a model raises, its frame is UNKNOWN and the others are scored
        if len(seen) > 1:
            return [_score(pipeline, [query], quorum)[0] for query in wanted]
        scored = [without_score(seen[0], RewardStatus.MODEL_ERROR, f"{type(error).__name__}: {error}")]
    by_key = {one.query.key: one for one in scored}
    return [by_key.get(query.key) or without_score(query, RewardStatus.LOST) for query in wanted]


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
