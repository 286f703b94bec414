"""What the reward node does while it is active: frames and episode status in, rewards out.

Every query is published once per head, UNKNOWN included. A regular query that turns out to be the last of its episode
is published again, the same but for ``episode_end``: joins by episode, stamp and head stay exact. The callbacks only
sort stamps and queues; the model runs in the scorer's thread, and its results come back through a guard condition.
"""

from __future__ import annotations

import math
import time
from collections import deque

from rclpy.clock import Clock, ClockType

from lrm_core.errors import BadInput
from lrm_core.frame_buffer import FrameBuffer
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardStatus
from lrm_core.ros import qos, stamps
from lrm_core.ros.camera import CameraSubscription
from lrm_core.ros.diagnostics import ERROR, WARN, Diagnostics, Report, StreamTask
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_msgs.msg import EpisodeStatus, RewardNodeStatus
from lrm_reward_node.memory import EpisodeMemory
from lrm_reward_node.params import RewardParams
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.ros.messages import live_plan, plan_of, reward_of, state_path
from lrm_reward_node.ros.publishers import RewardPublishers
from lrm_reward_node.schedule import ArrivedFrame, Query, QuerySchedule
from lrm_reward_node.scorer import ScoredQuery, Scorer, as_final
from lrm_reward_node.tally import Tally

_STATUS_PERIOD_S, _POLL_PERIOD_S, _STOP_TIMEOUT_S = 0.5, 0.1, 5.0
_STARTED = (EpisodeStatus.RUNNING, EpisodeStatus.ENDING)
_OVER = (EpisodeStatus.ENDING, EpisodeStatus.ENDED)


class ScoringSession:
    """Listens and publishes from construction until :meth:`close`."""

    def __init__(
        self,
        node: LrmLifecycleNode[RewardParams],
        params: RewardParams,
        pipeline: RewardPipeline,
        publishers: RewardPublishers,
    ) -> None:
        self._node, self._params, self._pipeline, self._publishers = node, params, pipeline, publishers
        self._frames: FrameBuffer[ArrivedFrame] = FrameBuffer(params.buffer_s, params.buffer_mb * 1_000_000)
        self._memory = EpisodeMemory(state_path(params.state_dir, node.get_namespace()))
        self._tally = Tally()
        self._schedule: QuerySchedule | None = None
        self._published: deque[ScoredQuery] = deque(maxlen=4)
        self._closed_id = ""
        self._newest_ns = 0
        self._policy_seen = False
        self._bad_images = self._bad_images_reported = 0
        self._bad_image = ""
        self._complaint = ""
        self._listen()

    def _listen(self) -> None:
        node, params = self._node, self._params
        self._finished = node.create_guard_condition(self._publish_results)
        self._scorer = Scorer(self._pipeline, self._memory, params.queue_size, self._too_old, self._finished.trigger)
        self._camera = CameraSubscription(
            node, params.camera, compressed=params.transport == "compressed", lockstep=params.lockstep,
            on_frame=self._on_frame, on_bad=self._on_bad_image,
        )  # fmt: skip
        self._episodes = node.create_subscription(EpisodeStatus, "episode_status", self._on_status, qos.STATUS)
        # Steady timers: in lock-step simulation time stands still while somebody waits for this node.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers = [
            node.create_timer(_STATUS_PERIOD_S, self._publish_status, clock=clock),
            node.create_timer(_POLL_PERIOD_S, self._poll, clock=clock),
        ]
        # A lock-step clock stands still between two frames, so that only the deadline of a query tells a lost camera.
        max_age_s = math.inf if params.lockstep else params.deadline_s
        self._camera_task = StreamTask(node, params.min_camera_hz, max_age_s)
        self._diagnostics = Diagnostics(node, self._pipeline.model.fingerprint)
        self._diagnostics.add(f"camera {params.camera}", self._camera_report)
        self._diagnostics.add("scoring", self._scoring_report)
        self._scorer.start()

    def close(self) -> None:
        """Stop listening, let the model finish what it works on, publish that."""
        self._camera.destroy()
        self._node.destroy_subscription(self._episodes)
        for timer in self._timers:
            self._node.destroy_timer(timer)
        if not self._scorer.stop(_STOP_TIMEOUT_S):
            self._node.get_logger().warning(f"the model still works after {_STOP_TIMEOUT_S} s: its result is given up")
        self._publish_results()
        self._publish_status()
        self._node.destroy_guard_condition(self._finished)
        self._diagnostics.destroy()

    def _on_bad_image(self, error: BadInput) -> None:
        self._bad_images += 1
        self._bad_image = str(error)
        self._complain(self._bad_image)

    def _on_frame(self, frame: CameraFrame, transport_s: float) -> None:
        arrived = ArrivedFrame(
            frame.rgb, frame.stamp_ns, frame.camera, frame.frame_id, arrived_s=time.monotonic(), transport_s=transport_s
        )
        before = self._frames.latest()
        if self._frames.add(arrived):
            assert before is not None
            self._restart_clock(before.stamp_ns, frame.stamp_ns)
        self._camera_task.tick(frame.stamp_ns)
        self._newest_ns = max(self._newest_ns, frame.stamp_ns)
        if self._params.task and self._schedule is None and not self._policy_seen:
            plan = live_plan(self._params.task, frame.stamp_ns, self._params.query_rate_hz)
            self._schedule = QuerySchedule(plan, self._params.deadline_s)
        self._poll()

    def _restart_clock(self, before_ns: int, after_ns: int) -> None:
        episode = self._schedule.plan.episode_id if self._schedule else ""
        self._complain(
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
            self._frames.clear()
        if msg.episode_id == self._closed_id:
            return
        if self._schedule is None or self._schedule.plan.episode_id != msg.episode_id:
            self._schedule = self._open(msg) if msg.state in _STARTED else None
        self._newest_ns = max(self._newest_ns, stamp_ns)
        if self._schedule is not None and msg.state in _OVER:
            asked = self._schedule.end(stamps.to_ns(msg.end_stamp))
            if asked is not None:
                self._mark_final(asked)
        self._poll()

    def _open(self, msg: EpisodeStatus) -> QuerySchedule | None:
        try:
            plan = plan_of(msg, self._params.query_rate_hz)
        except BadInput as error:
            self._closed_id = msg.episode_id
            self._complain(f"episode {msg.episode_id} is not scored: {error}")
            return None
        last = self._memory.load(msg.episode_id)
        if last is not None:
            self._node.get_logger().info(f"episode {msg.episode_id} goes on with query {last.index}")
            self._scorer.submit(last)
        # Who joins late scores from the frame the policy is at now: what is past was published by whoever ran then.
        seen = self._frames.at(plan.start_ns, plan.tolerance_ns) is not None
        first = 0 if seen else plan.first_index_at(stamps.to_ns(msg.header.stamp))
        return QuerySchedule(plan, self._params.deadline_s, first, last)

    def _poll(self) -> None:
        while self._schedule is not None:
            query = self._schedule.next_query(self._frames, self._now_ns(), time.monotonic())
            if query is None:
                return
            if query.current is None:
                at = stamps.seconds(query.stamp_ns)
                self._complain(f"camera {self._params.camera}: no frame at {at} of episode {query.plan.episode_id}")
            self._scorer.submit(query)

    def _now_ns(self) -> int:
        """Newest time known on the clock of the stamps. In lock-step that is what has arrived, and nothing else."""
        return self._newest_ns if self._params.lockstep else max(self._newest_ns, self._clock_ns())

    def _clock_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _too_old(self, query: Query) -> bool:
        frame = query.current
        if frame is None:
            return False
        age_s = time.monotonic() - frame.arrived_s
        if not self._params.lockstep:
            age_s = max(age_s, (self._clock_ns() - frame.stamp_ns) / 1e9)
        return age_s > self._params.deadline_s

    def _mark_final(self, query: Query) -> None:
        """The query was asked as a regular one: flag it before it is published, or publish it again."""
        for done in [scored for scored in self._published if _same(scored.query, query)]:
            self._publish(as_final(done), again=True)

    def _publish_results(self) -> None:
        for scored in self._scorer.results():
            final = self._schedule.final if self._schedule else None
            ended_meanwhile = final is not None and _same(final, scored.query)
            self._publish(as_final(scored) if ended_meanwhile else scored)

    def _publish(self, scored: ScoredQuery, again: bool = False) -> None:
        frame = scored.query.current
        latency_s = time.monotonic() - frame.arrived_s if frame and math.isfinite(scored.scored_s) else math.nan
        for estimate in scored.estimates:
            msg = reward_of(scored.query, estimate, latency_s, self._pipeline.model.fingerprint)
            self._publishers.reward(msg)
            if not again:
                self._tally.add(estimate.status, msg.transport_latency_s, msg.model_latency_s)
        self._published.append(scored)
        if any(estimate.ok for estimate in scored.estimates):
            self._complaint = ""
        faults = (e.raw_text for e in scored.estimates if e.status is RewardStatus.CAMERA_FAULT)
        if fault := next(faults, ""):
            what, _, _ = fault.partition(" (")  # One line per cause: the figures change from frame to frame.
            self._complain(f"camera {self._params.camera}: {what}")
        if scored.error:
            self._complain(f"the model failed on the frame at {stamps.seconds(scored.query.stamp_ns)}: {scored.error}")

    def _publish_status(self) -> None:
        msg = RewardNodeStatus(model_fingerprint=self._pipeline.model.fingerprint, queued=self._scorer.queued)
        msg.header.stamp = self._node.get_clock().now().to_msg()
        msg.episode_id = self._schedule.plan.episode_id if self._schedule else ""
        msg.scored, msg.unknown = self._tally.scored, self._tally.unknown
        msg.transport_latency_p50_s = self._tally.transport_s(50)
        msg.model_latency_p50_s, msg.model_latency_p99_s = self._tally.model_s(50), self._tally.model_s(99)
        self._publishers.status(msg)

    def _complain(self, text: str) -> None:
        """One line in the log per cause, not per message; diagnostics repeat it."""
        if text != self._complaint:
            self._node.get_logger().error(text)
        self._complaint = text

    def _camera_report(self) -> Report:
        report = self._camera_task()
        report.values |= {"bad_images": self._bad_images, "dropped_frames": self._frames.dropped}
        if self._bad_images > self._bad_images_reported:
            report.raise_to(ERROR, f"images cannot be used: {self._bad_image}")
        self._bad_images_reported = self._bad_images
        return report

    def _scoring_report(self) -> Report:
        counts = {status.name.lower(): self._tally.by_status[status] for status in RewardStatus}
        latencies = {
            "transport_latency_p50_s": f"{self._tally.transport_s(50):.4f}",
            "model_latency_p50_s": f"{self._tally.model_s(50):.3f}",
            "model_latency_p99_s": f"{self._tally.model_s(99):.3f}",
        }
        report = Report(values={**counts, **latencies, "queued": self._scorer.queued})
        if self._complaint:
            report.raise_to(WARN, self._complaint)
        if self._memory.error:
            report.raise_to(ERROR, self._memory.error)
        return report


def _same(one: Query, other: Query) -> bool:
    return (one.plan.episode_id, one.index) == (other.plan.episode_id, other.index)
