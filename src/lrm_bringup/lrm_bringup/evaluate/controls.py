"""Copies of an episode in another order, asked again: what is a score worth that follows the clock, not the pictures?

Nothing of the first scores is used again. Progress depends on the first frame, contrastive on the one before, and the
camera check of every head on both: in another order all three are other questions.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lrm_bringup.replay.events import Recording
from lrm_bringup.replay.run import ReplayOptions
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.scoring import AskedQuery, Decoded, queries
from lrm_reward_node.evaluation.measures import REWOUND, SHUFFLED
from lrm_reward_node.schedule import ArrivedFrame, Query, View

KINDS = (REWOUND, SHUFFLED)
MAX_FRAMES = 64
"""Frames of an episode in a copy, evenly spaced: they are in memory together."""
_MARK = "\N{RIGHTWARDS ARROW}"


def order_of(kind: str, episode_id: str, count: int) -> np.ndarray:
    """(count,) rank in time of the frame that each query of a copy shows; the same at every call."""
    if kind == REWOUND:
        return np.arange(count)[::-1]
    return np.random.default_rng([zlib.crc32(episode_id.encode()), count]).permutation(count)


def copy_name(episode_id: str, kind: str) -> str:
    """Name of a copy in tables."""
    return f"{episode_id}{_MARK}{kind}"


def copies(recording: Recording, options: ReplayOptions, decoded: Decoded) -> Iterator[AskedQuery]:
    """The queries of both copies of every episode, in the order in which they are asked.

    Args:
        recording: read again from its start.
        options: as it was replayed with.
        decoded: counts the frames that were read.
    """
    schedule = ReplaySchedule(recording.cameras, options.task, options.query_rate_hz)
    kept: dict[int, AskedQuery] = {}
    episode_id, stride, over = "", 1, set()
    for one in queries(recording, schedule, decoded):
        found = one.query.plan.episode_id
        if found != episode_id:
            yield from _both(list(kept.values()))
            over.add(episode_id)
            kept, episode_id, stride = {}, found, 1
        if found not in over and one.query.frame is not None and one.query.index % stride == 0:
            kept[one.query.index] = one
        if len(kept) > MAX_FRAMES:
            stride *= 2
            kept = {index: query for index, query in kept.items() if index % stride == 0}
    yield from _both(list(kept.values()))


def _both(asked: Sequence[AskedQuery]) -> Iterator[AskedQuery]:
    for kind in KINDS if len(asked) > 1 else ():
        order = order_of(kind, asked[0].query.plan.episode_id, len(asked))
        yield from _copy([asked[i] for i in order], kind, sorted(one.query.stamp_ns for one in asked))


def _copy(shown: Sequence[AskedQuery], kind: str, stamps_ns: Sequence[int]) -> Iterator[AskedQuery]:
    """The frames of ``shown`` as if they had come at ``stamps_ns``."""
    plan = shown[0].query.plan
    plan = replace(plan, episode_id=copy_name(plan.episode_id, kind), start_ns=stamps_ns[0])
    first: tuple[ArrivedFrame | None, ...] = ()
    previous: tuple[ArrivedFrame | None, ...] = ()
    for index, (one, stamp_ns) in enumerate(zip(shown, stamps_ns, strict=True)):
        views = one.query.views
        current = tuple(replace(v.current, stamp_ns=stamp_ns) if v.current is not None else None for v in views)
        first = first or current
        before = previous or (None,) * len(views)
        seen = tuple(
            View(view.camera, frame, start, older)
            for view, frame, start, older in zip(views, current, first, before, strict=True)
        )
        yield AskedQuery(Query(plan, index, stamp_ns, index == len(shown) - 1, seen), one.log_ns)
        previous = current
