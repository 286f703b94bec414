"""Streams of stamped messages on one fixed grid: pure logic over stamps.

A slot of the grid takes the nearest message of every stream. One that is further away than the tolerance is none: the
slot is a gap. A gap is never filled; it ends a piece of the episode, and the next whole slot begins another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lrm_core.errors import BadInput

MAX_SLOTS = 10_000_000
_NS = 1_000_000_000


def grid(start_ns: int, end_ns: int, fps: float) -> np.ndarray:
    """Stamps (T,) int64 of the slots from ``start_ns`` to at most half a period after ``end_ns``, nanoseconds.

    Every slot is counted from the start, so that rounding does not add up.

    Raises:
        BadInput: the rate is not positive, or the stamps are so far apart that they cannot be of one episode.
    """
    if not 0.0 < fps <= 1000.0:
        raise BadInput("--fps", fps, "frames per second, above 0 and at most 1000")
    slots = (end_ns - start_ns) * fps / _NS + 0.5
    if slots > MAX_SLOTS:
        raise BadInput("stamps of an episode", f"{(end_ns - start_ns) / _NS:.0f} s apart", "those of one episode")
    return start_ns + np.rint(np.arange(max(0, int(slots) + 1)) * (_NS / fps)).astype(np.int64)


def nearest(stamps_ns: np.ndarray, slots_ns: np.ndarray, tolerance_ns: int) -> np.ndarray:
    """Index (T,) int64 into ``stamps_ns`` (N,), sorted, of the message nearest to every slot; -1: none is near enough.

    Of two that are equally near the earlier one is taken.
    """
    if not len(stamps_ns):
        return np.full(len(slots_ns), -1, np.int64)
    after = np.searchsorted(stamps_ns, slots_ns).clip(0, len(stamps_ns) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(stamps_ns[before] - slots_ns) <= np.abs(stamps_ns[after] - slots_ns)
    # Equal stamps: always the first of them, so that the choice does not depend on the side it was reached from.
    index = np.searchsorted(stamps_ns, stamps_ns[np.where(nearer, before, after)])
    return np.where(np.abs(stamps_ns[index] - slots_ns) <= tolerance_ns, index, -1)


@dataclass(frozen=True)
class Gap:
    """Slots in a row for which a stream has no message.

    Attributes:
        first: number of the first slot.
        slots: how many.
        streams: what is missing in any of them.
    """

    first: int
    slots: int
    streams: tuple[str, ...]

    def text(self, fps: float) -> str:
        """For people: where, how long, what."""
        return f"{self.slots / fps:.2f} s without {', '.join(self.streams)} after {self.first / fps:.2f} s"


def gaps(found: Mapping[str, np.ndarray]) -> list[Gap]:
    """Gaps of all streams together; ``found``: stream -> (T,) bool, True where the slot has a message."""
    whole = np.logical_and.reduce(list(found.values()))
    return [
        Gap(start, stop - start, tuple(name for name, there in found.items() if not there[start:stop].all()))
        for start, stop in runs(~whole)
    ]


def runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, stop) of every run of True in ``mask`` (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    yield from ((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))
