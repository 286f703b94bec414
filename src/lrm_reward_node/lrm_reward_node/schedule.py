"""Which frames of an episode are scored: pure logic over stamps, no clock and no thread of its own.

Query n is the frame at ``start + n · interval``; query 0 is the reset frame. The end of the episode forces a last query
at the stamp of its last frame. Frames and episode status arrive in any order, so every event asks again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from lrm_core.errors import BadInput
from lrm_core.frame_buffer import FrameBuffer
from lrm_core.frames import CameraFrame

_REMEMBERED = 4
"""Queries that a late end of the episode may still turn out to be."""


@dataclass(frozen=True)
class ArrivedFrame(CameraFrame):
    """A frame with its way to the reward node.

    Attributes:
        arrived_s: monotonic clock at arrival, seconds.
        transport_s: time on the way, seconds; NaN when unknown.
    """

    arrived_s: float = 0.0
    transport_s: float = float("nan")


@dataclass(frozen=True)
class EpisodePlan:
    """What the schedule needs of an episode.

    Attributes:
        episode_id: unique name.
        task: task sentence, not empty.
        start_ns: stamp of the reset frame, nanoseconds.
        interval_ns: time between two queries, nanoseconds, > 0.
        tolerance_ns: a frame this near to the wanted stamp is taken for it, nanoseconds.
        limit_ns: the longest an episode can last, nanoseconds; no regular query comes later, whatever the clock does.
    """

    episode_id: str
    task: str
    start_ns: int
    interval_ns: int
    tolerance_ns: int
    limit_ns: int

    def __post_init__(self) -> None:
        if not self.task.strip():
            raise BadInput("task of the episode", self.task, "a sentence that says what to do", "Send it to set_task.")
        if self.interval_ns <= 0:
            raise BadInput("query interval", self.interval_ns, "more than 0 ns", "Check EpisodeStatus.call_interval.")

    def first_index_at(self, stamp_ns: int) -> int:
        """Number of the first query whose stamp is not before ``stamp_ns``, tolerance included."""
        late_ns = stamp_ns - self.tolerance_ns - self.start_ns
        return max(0, -(-late_ns // self.interval_ns))


@dataclass(frozen=True)
class Query:
    """One frame to score, with the frames it is compared with; None where the frame never arrived.

    Attributes:
        plan: the episode.
        index: number of the query in its episode, from 0.
        stamp_ns: stamp of ``current``, or the stamp that was waited for in vain.
        final: forced by the end of the episode.
        current: the frame to score.
        initial: the reset frame.
        previous: frame of query ``index - 1``; None for query 0.
    """

    plan: EpisodePlan
    index: int
    stamp_ns: int
    final: bool
    current: ArrivedFrame | None
    initial: ArrivedFrame | None
    previous: ArrivedFrame | None


class QuerySchedule:
    """The queries of one episode, each given out once, in order.

    Args:
        plan: the episode.
        deadline_s: a frame that has not arrived this long after its time is lost, seconds.
        first_index: number of the first query, larger than 0 when the node joins late.
        last: newest query given out before, when the node continues an episode.

    Attributes:
        final: the last query of the episode, once it was given out; nothing comes after it.
    """

    def __init__(self, plan: EpisodePlan, deadline_s: float, first_index: int = 0, last: Query | None = None) -> None:
        self.plan = plan
        self.final = last if last is not None and last.final else None
        self._deadline_s = deadline_s
        self._given: deque[Query] = deque([last] if last else [], maxlen=_REMEMBERED)
        self._index = last.index + 1 if last else first_index
        self._initial = last.initial if last else None
        self._end_ns: int | None = None
        self._due_since_s: float | None = None

    @property
    def begun(self) -> bool:
        """True once a query was given out."""
        return bool(self._given)

    def end(self, end_ns: int) -> Query | None:
        """Say that the episode ended with the frame at ``end_ns``.

        Returns:
            The last query, now final, when it had already been given out as a regular one; else None, and the next
            ones lead there.
        """
        if self._end_ns is not None or self.final is not None:
            return None
        self._end_ns = end_ns
        asked = (query for query in self._given if abs(query.stamp_ns - end_ns) <= self.plan.tolerance_ns)
        already = next(asked, None)
        self.final = replace(already, final=True) if already is not None else None
        return self.final

    def next_query(self, frames: FrameBuffer[ArrivedFrame], now_ns: int, monotonic_s: float) -> Query | None:
        """The next query that can be decided: its frame has arrived, or is lost. Call until it returns None.

        Args:
            frames: what has arrived.
            now_ns: newest time known on the clock of the stamps, nanoseconds.
            monotonic_s: clock of the deadline, seconds.
        """
        if self.final is not None:
            return None
        stamp_ns, final = self._wanted()
        if not final and stamp_ns > self.plan.start_ns + self.plan.limit_ns + self.plan.tolerance_ns:
            return None
        frame = frames.at(stamp_ns, self.plan.tolerance_ns)
        if not self._decided(frames, frame, stamp_ns, now_ns, monotonic_s):
            return None
        return self._give_out(stamp_ns, final, frame)

    def _wanted(self) -> tuple[int, bool]:
        stamp_ns = self.plan.start_ns + self._index * self.plan.interval_ns
        if self._end_ns is not None and stamp_ns >= self._end_ns - self.plan.tolerance_ns:
            return self._end_ns, True
        return stamp_ns, False

    def _decided(
        self,
        frames: FrameBuffer[ArrivedFrame],
        nearest: ArrivedFrame | None,
        stamp_ns: int,
        now_ns: int,
        monotonic_s: float,
    ) -> bool:
        newest = frames.latest()
        if nearest is not None and newest is not None and newest.stamp_ns >= stamp_ns:
            return True  # No frame to come is nearer.
        if newest is not None and newest.stamp_ns > stamp_ns + self.plan.tolerance_ns:
            return True
        if now_ns < stamp_ns:
            return False
        if self._due_since_s is None:
            self._due_since_s = monotonic_s
        return monotonic_s - self._due_since_s > self._deadline_s

    def _give_out(self, stamp_ns: int, final: bool, frame: ArrivedFrame | None) -> Query:
        if self._index == 0:
            self._initial = frame
        # A late end may lie before queries already given out: the one before it in time is its reference.
        before = next((query for query in reversed(self._given) if query.stamp_ns < stamp_ns), None)
        stamp_ns = frame.stamp_ns if frame is not None else stamp_ns
        query = Query(self.plan, self._index, stamp_ns, final, frame, self._initial, before.current if before else None)
        self._given.append(query)
        self._index += 1
        self._due_since_s = None
        self.final = query if final else None
        return query
