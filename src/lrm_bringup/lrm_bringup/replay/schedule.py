"""Which queries a recording holds: the rules of the live node, fed with what was recorded.

The one thing that differs is waiting. Live, a frame that does not come is LOST after a deadline; here it is LOST when a
later one is there, or the recording of its episode is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lrm_core.frame_buffer import FrameBuffer
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan, Query, QuerySchedule

BUFFER_S, BUFFER_BYTES = 5.0, 256_000_000
"""As the defaults of the reward node."""
_FOREVER_NS = 2**62


class ReplaySchedule:
    """Feed it frames and episodes in the order of the recording; it yields the queries.

    A query that turns out to be the last of its episode is yielded once more, with ``final`` set.

    Args:
        cameras: names of the cameras.
        task: replaces the recorded task; needed when nothing recorded names one.
        query_rate_hz: queries per second of the stamps where no episode says when; 0: one per second.

    Attributes:
        problems: what had to be left out, one line each.
    """

    def __init__(self, cameras: Sequence[str], task: str = "", query_rate_hz: float = 0.0) -> None:
        self._task, self._rate_hz = task, query_rate_hz
        self._frames: dict[str, FrameBuffer[ArrivedFrame]] = {
            camera: FrameBuffer(BUFFER_S, BUFFER_BYTES) for camera in cameras
        }
        self._schedule: QuerySchedule | None = None
        self._policy_seen = self._over = False
        self._closed_id = ""
        self._newest_ns = 0
        self._waited_s = 0.0
        self.problems: list[str] = []

    def frame(self, frame: ArrivedFrame) -> Iterator[Query]:
        """The next frame of a camera."""
        before = self._frames[frame.camera].latest()
        if before is not None and frame.stamp_ns < before.stamp_ns:
            yield from self._restart_clock(before.stamp_ns, frame.stamp_ns)
        self._frames[frame.camera].add(frame)
        self._newest_ns = max(self._newest_ns, frame.stamp_ns)
        if self._schedule is None and not self._policy_seen and self._task:
            self._open_without_policy()
        yield from self._decided(self._newest_ns)

    def episode(self, episode_id: str, plan: EpisodePlan | None, stamp_ns: int, end_ns: int | None) -> Iterator[Query]:
        """What the policy says; see :class:`lrm_bringup.replay.events.EpisodeSeen`."""
        self._policy_seen = True
        if plan is not None and end_ns is None and stamp_ns < self._newest_ns - BUFFER_S * 1e9:
            yield from self._restart_clock(self._newest_ns, stamp_ns)
        if episode_id == self._closed_id:
            return
        if self._schedule is None or self._schedule.plan.episode_id != episode_id:
            yield from self._lost()
            self._schedule = self._open(plan, stamp_ns) if plan is not None else None
        self._newest_ns = max(self._newest_ns, stamp_ns)
        if self._schedule is not None and end_ns is not None:
            self._over = True
            asked = self._schedule.end(end_ns)
            if asked is not None:
                yield asked
        yield from self._decided(self._newest_ns)

    def close(self) -> Iterator[Query]:
        """The recording is over. Without episodes its last frame is the last query, as the end of an episode is."""
        if self._schedule is not None and not self._policy_seen:
            newest = [frames.latest() for frames in self._frames.values()]
            self._over = True
            # The tolerance is half a query interval here: too wide to take an older frame for the last one.
            self._schedule.plan = replace(self._schedule.plan, tolerance_ns=0)
            asked = self._schedule.end(max(frame.stamp_ns for frame in newest if frame))
            if asked is not None:
                yield asked
        elif self._schedule is not None and not self._over:
            self.problems.append(f"the recording ends before episode {self._schedule.plan.episode_id} does")
        yield from self._lost()

    def _open(self, plan: EpisodePlan, stamp_ns: int) -> QuerySchedule:
        plan = replace(plan, task=self._task or plan.task)
        if self._rate_hz:
            plan = replace(plan, interval_ns=round(1e9 / self._rate_hz))
        seen = any(frames.at(plan.start_ns, plan.tolerance_ns) is not None for frames in self._frames.values())
        first = 0 if seen else plan.first_index_at(stamp_ns)
        if first:
            self.problems.append(f"the start of episode {plan.episode_id} was not recorded")
        self._over = False
        return QuerySchedule(plan, 0.0, first)

    def _open_without_policy(self) -> None:
        newest = [frames.latest() for frames in self._frames.values()]
        if all(newest):
            start_ns = max(frame.stamp_ns for frame in newest if frame)
            interval_ns = round(1e9 / (self._rate_hz or 1.0))
            plan = EpisodePlan(f"replay-{start_ns}", self._task, start_ns, interval_ns, interval_ns // 2, _FOREVER_NS)
            self._schedule, self._over = QuerySchedule(plan, 0.0), False

    def _restart_clock(self, before_ns: int, after_ns: int) -> Iterator[Query]:
        yield from self._lost()
        episode = self._schedule.plan.episode_id if self._schedule else ""
        what = f"; episode {episode} ends there" if episode and not self._over else ""
        self.problems.append(f"the clock jumps back from {before_ns / 1e9:.3f} s to {after_ns / 1e9:.3f} s{what}")
        for frames in self._frames.values():
            frames.clear()
        self._closed_id, self._schedule, self._newest_ns = episode or self._closed_id, None, after_ns

    def _decided(self, now_ns: int) -> Iterator[Query]:
        while self._schedule is not None:
            query = self._schedule.next_query(self._frames, now_ns, self._waited_s)
            if query is None:
                return
            yield query

    def _lost(self) -> Iterator[Query]:
        """What is still open of an episode that is over: its frames will never come."""
        found = self._over
        while found:
            found = False
            for _ in range(2):  # the first look begins the wait, the second is past the deadline
                self._waited_s += 1.0
                for query in self._decided(_FOREVER_NS):
                    found = True
                    yield query
