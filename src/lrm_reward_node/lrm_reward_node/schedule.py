"""Which frames of an episode are scored: pure logic over stamps, no clock and no thread of its own.

Query n is the frame of every camera at ``start + n · interval``; query 0 is the reset frame. The end of the episode
forces a last query at the stamp of its last frame. Frames and episode status arrive in any order, so every event asks
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
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


@dataclass(frozen=True, eq=False)
class View:
    """What one camera shows of a query, None where the frame never arrived.

    Attributes:
        camera: name of the camera.
        current: the frame to score.
        initial: the reset frame.
        previous: frame of the query before; None for query 0.
    """

    camera: str
    current: ArrivedFrame | None
    initial: ArrivedFrame | None
    previous: ArrivedFrame | None


@dataclass(frozen=True, eq=False)
class Query:
    """One moment to score, as every camera saw it.

    Attributes:
        plan: the episode.
        index: number of the query in its episode, from 0.
        stamp_ns: stamp of ``frame``, or the stamp that was waited for in vain.
        final: forced by the end of the episode.
        views: one per camera, in the order of the cameras.
    """

    plan: EpisodePlan
    index: int
    stamp_ns: int
    final: bool
    views: tuple[View, ...]

    @property
    def key(self) -> tuple[str, int]:
        """What tells queries apart, final or not."""
        return self.plan.episode_id, self.index

    @property
    def frame(self) -> ArrivedFrame | None:
        """The frame that lends the query its stamp: that of the first camera that has one."""
        return next((view.current for view in self.views if view.current is not None), None)

    @property
    def lost(self) -> list[str]:
        """Cameras whose frame never arrived."""
        return [view.camera for view in self.views if view.current is None]


Frames = Mapping[str, FrameBuffer[ArrivedFrame]]
"""What has arrived, by camera."""


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
        self._initial = {view.camera: view.initial for view in last.views} if last else {}
        self._lost_ns: dict[str, int] = {}
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

    def next_query(self, frames: Frames, now_ns: int, monotonic_s: float) -> Query | None:
        """The next query that can be decided: of every camera the frame has arrived, or is lost.

        Call until it returns None.

        Args:
            frames: camera -> what has arrived.
            now_ns: newest time known on the clock of the stamps, nanoseconds.
            monotonic_s: clock of the deadline, seconds.
        """
        if self.final is not None:
            return None
        stamp_ns, final = self._wanted()
        if not final and stamp_ns > self.plan.start_ns + self.plan.limit_ns + self.plan.tolerance_ns:
            return None
        if not (self._arrived(frames, stamp_ns) or self._overdue(stamp_ns, now_ns, monotonic_s)):
            return None
        return self._give_out(frames, stamp_ns, final)

    def _wanted(self) -> tuple[int, bool]:
        stamp_ns = self.plan.start_ns + self._index * self.plan.interval_ns
        if self._end_ns is not None and stamp_ns >= self._end_ns - self.plan.tolerance_ns:
            return self._end_ns, True
        return stamp_ns, False

    def _arrived(self, frames: Frames, stamp_ns: int) -> bool:
        """True when nothing that is still to come is waited for."""
        open_cameras = [name for name, buffer in frames.items() if not self._decided(buffer, stamp_ns)]
        # A camera that was lost and has been silent since is not waited for again while another one shows the moment.
        return len(open_cameras) < len(frames) and all(self._silent(name, frames[name]) for name in open_cameras)

    def _decided(self, frames: FrameBuffer[ArrivedFrame], stamp_ns: int) -> bool:
        newest = frames.latest()
        if newest is None:
            return False
        if newest.stamp_ns > stamp_ns + self.plan.tolerance_ns:
            return True
        nearest = frames.at(stamp_ns, self.plan.tolerance_ns)
        return nearest is not None and newest.stamp_ns >= stamp_ns  # No frame to come is nearer.

    def _silent(self, camera: str, frames: FrameBuffer[ArrivedFrame]) -> bool:
        lost_ns, newest = self._lost_ns.get(camera), frames.latest()
        return lost_ns is not None and (newest is None or newest.stamp_ns < lost_ns)

    def _overdue(self, stamp_ns: int, now_ns: int, monotonic_s: float) -> bool:
        if now_ns < stamp_ns:
            return False
        if self._due_since_s is None:
            self._due_since_s = monotonic_s
        return monotonic_s - self._due_since_s > self._deadline_s

    def _give_out(self, frames: Frames, stamp_ns: int, final: bool) -> Query:
        current = {name: buffer.at(stamp_ns, self.plan.tolerance_ns) for name, buffer in frames.items()}
        self._lost_ns = {name: stamp_ns for name, frame in current.items() if frame is None}
        if self._index == 0:
            self._initial = current
        # A late end may lie before queries already given out: the one before it in time is its reference.
        before = next((query for query in reversed(self._given) if query.stamp_ns < stamp_ns), None)
        previous = {view.camera: view.current for view in before.views} if before else {}
        views = tuple(View(name, frame, self._initial.get(name), previous.get(name)) for name, frame in current.items())
        query = Query(self.plan, self._index, stamp_ns, final, views)
        query = replace(query, stamp_ns=query.frame.stamp_ns) if query.frame is not None else query
        self._given.append(query)
        self._index += 1
        self._due_since_s = None
        self.final = query if final else None
        return query
