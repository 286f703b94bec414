"""What the reward node does while it is active: frames and episode status in, rewards out.

Every query is published once per head, UNKNOWN included, as one verdict over all cameras and, where there are several,
per camera. A regular query that turns out to be the last of its episode is published again: the same but for
``episode_end``, or scored after all where it had given way to a newer one. Joins by episode, stamp and head stay
exact. The callbacks only sort stamps and queues; the model runs in the scorer's thread, and its results come back
through a guard condition.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence

from rclpy.clock import Clock, ClockType

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardStatus
from lrm_core.robot import CameraSpec
from lrm_core.ros import qos, stamps
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_msgs.msg import EpisodeStatus
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.params import RewardParams
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.ros.cameras import CameraInput
from lrm_reward_node.ros.messages import live_plan, plan_of, rewards_of, state_path
from lrm_reward_node.ros.publishers import RewardPublishers
from lrm_reward_node.ros.reports import Reports
from lrm_reward_node.schedule import ArrivedFrame, Query, QuerySchedule
from lrm_reward_node.scorer import ScoredQuery, Scorer, as_final

_STATUS_PERIOD_S, _POLL_PERIOD_S, _STOP_TIMEOUT_S = 0.5, 0.1, 5.0
_STARTED = (EpisodeStatus.RUNNING, EpisodeStatus.ENDING)
_OVER = (EpisodeStatus.ENDING, EpisodeStatus.ENDED)


class ScoringSession:
    """Listens and publishes from construction until :meth:`close`."""

    def __init__(
        self,
        node: LrmLifecycleNode[RewardParams],
        params: RewardParams,
        cameras: Sequence[CameraSpec],
        pipeline: RewardPipeline,
        publishers: RewardPublishers,
    ) -> None:
        self._node, self._params, self._pipeline, self._publishers = node, params, pipeline, publishers
        self._memory = EpisodeMemory(state_path(params.state_dir, node.get_namespace()))
        self._schedule: QuerySchedule | None = None
        self._published: deque[ScoredQuery] = deque(maxlen=4)
        self._closed_id = ""
        self._newest_ns = 0
        self._policy_seen = False
        self._newest_interval_s = math.nan
        self._listen(cameras)

    def _listen(self, cameras: Sequence[CameraSpec]) -> None:
        node, params = self._node, self._params
        self._finished = node.create_guard_condition(self._publish_results)
        on_result = self._finished.trigger
        self._scorer = Scorer(self._pipeline, params.camera_quorum, self._memory, self._too_old, on_result)
        self._cameras = {
            one.name: CameraInput(node, params, one, self._on_frame, lambda text: self._reports.complain(text))
            for one in cameras
        }
        self._frames = {name: camera.frames for name, camera in self._cameras.items()}
        self._reports = Reports(
            node, self._pipeline.model.fingerprint, lambda: self._scorer.queued, lambda: self._memory.error,
            self._cameras, self._interval_s,
        )  # fmt: skip
        self._episodes = node.create_subscription(EpisodeStatus, "episode_status", self._on_status, qos.STATUS)
        # Steady timers: in lock-step simulation time stands still while somebody waits for this node.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(_STATUS_PERIOD_S, self._publish_status, clock=clock),
            node.create_timer(_POLL_PERIOD_S, self._poll, clock=clock),
        ]
        self._scorer.start()

    def close(self) -> None:
        """Stop listening, let the model finish what it works on, publish that."""
        for camera in self._cameras.values():
            camera.destroy()
        self._node.destroy_subscription(self._episodes)
        for timer in self._timers:
            self._node.destroy_timer(timer)
        if not self._scorer.stop(_STOP_TIMEOUT_S):
            self._node.get_logger().warning(f"the model still works after {_STOP_TIMEOUT_S} s: its result is given up")
        self._publish_results()
        self._publish_status()
        self._node.destroy_guard_condition(self._finished)
        self._reports.destroy()

    def _on_frame(self, frame: ArrivedFrame, before_ns: int | None) -> None:
        if before_ns is not None:
            self._forget_frames_but(frame.camera)
            self._restart_clock(before_ns, frame.stamp_ns)
        self._newest_ns = max(self._newest_ns, frame.stamp_ns)
        if self._params.task and self._schedule is None and not self._policy_seen:
            self._open_live()
        self._poll()

    def _forget_frames_but(self, camera: str = "") -> None:
        for name, frames in self._frames.items():
            if name != camera:
                frames.clear()

    def _restart_clock(self, before_ns: int, after_ns: int) -> None:
        episode = self._schedule.plan.episode_id if self._schedule else ""
        self._reports.complain(
            f"the clock jumped back from {stamps.seconds(before_ns)} to {stamps.seconds(after_ns)}: "
            "frames are forgotten" + (f", episode {episode} is closed" if episode else "")
        )
        self._closed_id, self._schedule, self._newest_ns = episode or self._closed_id, None, after_ns

    def _on_status(self, msg: EpisodeStatus) -> None:
        self._policy_seen = True
        stamp_ns = stamps.to_ns(msg.header.stamp)
        if msg.state == EpisodeStatus.RUNNING and stamp_ns < self._newest_ns - self._params.buffer_s * 1e9:
            # The policy saw the new clock before the first frame came here.
            self._restart_clock(self._newest_ns, stamp_ns)
            self._forget_frames_but()
        if msg.episode_id == self._closed_id:
            return
        if self._schedule is None or self._schedule.plan.episode_id != msg.episode_id:
            self._schedule = self._open(msg) if msg.state in _STARTED else None
        self._newest_ns = max(self._newest_ns, stamp_ns)
        if self._schedule is not None and msg.state in _OVER:
            asked = self._schedule.end(stamps.to_ns(msg.end_stamp))
            if asked is not None:
                self._make_final(asked)
        self._poll()

    def _open(self, msg: EpisodeStatus) -> QuerySchedule | None:
        try:
            plan = plan_of(msg, self._params.query_rate_hz)
        except BadInput as error:
            self._closed_id = msg.episode_id
            self._reports.complain(f"episode {msg.episode_id} is not scored: {error}")
            return None
        last = self._memory.load(msg.episode_id, self._params.cameras)
        if last is not None:
            self._node.get_logger().info(f"episode {msg.episode_id} goes on with query {last.index}")
            self._scorer.submit(last, keep=True)
        # Who joins late scores from the frame the policy is at now: what is past was published by whoever ran then.
        seen = any(frames.at(plan.start_ns, plan.tolerance_ns) is not None for frames in self._frames.values())
        first = 0 if seen else plan.first_index_at(stamps.to_ns(msg.header.stamp))
        return QuerySchedule(plan, self._params.deadline_s, first, last)

    def _open_live(self) -> None:
        """Score without a policy, once every camera is there: each needs a first frame to compare with."""
        newest = [frames.latest() for frames in self._frames.values()]
        if all(newest):
            start_ns = max(frame.stamp_ns for frame in newest if frame)
            plan = live_plan(self._params.task, start_ns, self._params.query_rate_hz)
            self._schedule = QuerySchedule(plan, self._params.deadline_s)

    def _poll(self) -> None:
        while self._schedule is not None:
            query = self._schedule.next_query(self._frames, self._now_ns(), time.monotonic())
            if query is None:
                return
            for camera in query.lost:
                at = stamps.seconds(query.stamp_ns)
                self._reports.complain(f"camera {camera}: no frame at {at} of episode {query.plan.episode_id}")
            self._scorer.submit(query)

    def _now_ns(self) -> int:
        """Newest time known on the clock of the stamps. In lock-step that is what has arrived, and nothing else."""
        return self._newest_ns if self._params.lockstep else max(self._newest_ns, self._clock_ns())

    def _clock_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _too_old(self, query: Query) -> bool:
        frame = query.frame
        if frame is None:
            return False
        age_s = time.monotonic() - frame.arrived_s
        if not self._params.lockstep:
            age_s = max(age_s, (self._clock_ns() - frame.stamp_ns) / 1e9)
        # The wait for a camera that was lost is not this frame's fault.
        return age_s > self._params.deadline_s * (2 if query.lost else 1)

    def _make_final(self, query: Query) -> None:
        """The query was asked as a regular one: keep it where it waits, or publish it again.

        The end of an episode is never dropped: where it had given way to a newer query, it is scored after all.
        """
        if self._scorer.keep(query):
            return
        for done in [scored for scored in self._published if scored.query.key == query.key]:
            if done.late:
                self._scorer.submit(query)
            else:
                self._publish(as_final(done), again=True)

    def _publish_results(self) -> None:
        for scored in self._scorer.results():
            final = self._schedule.final if self._schedule else None
            ended_meanwhile = final is not None and final.key == scored.query.key and not scored.query.final
            self._publish(as_final(scored) if ended_meanwhile and not scored.late else scored)
            if final is not None and ended_meanwhile and scored.late:
                self._scorer.submit(final)

    def _publish(self, scored: ScoredQuery, again: bool = False) -> None:
        fingerprint = self._pipeline.model.fingerprint
        for camera, msg in rewards_of(scored, time.monotonic(), fingerprint):
            self._publishers.reward(msg, camera)
            if not (camera or again):
                self._reports.tally.add(RewardStatus(msg.status), msg.transport_latency_s, msg.model_latency_s)
        self._published.append(scored)
        if any(estimate.ok for estimate in scored.estimates):
            self._reports.all_is_well()
        for camera, fault in scored.camera_faults.items():
            what, _, _ = fault.partition(" (")  # One line per cause: the figures change from frame to frame.
            self._reports.complain(f"camera {camera}: {what}")
        if not again:
            self._reports.decided(not scored.late)
        if scored.error:
            at = stamps.seconds(scored.query.stamp_ns)
            self._reports.complain(f"the model failed on the frame at {at}: {scored.error}")

    def _interval_s(self) -> float:
        if self._schedule is not None:
            self._newest_interval_s = self._schedule.plan.interval_ns / 1e9
        return self._newest_interval_s

    def _publish_status(self) -> None:
        episode_id = self._schedule.plan.episode_id if self._schedule else ""
        self._publishers.status(self._reports.status(episode_id))
