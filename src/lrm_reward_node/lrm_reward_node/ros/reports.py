"""What the reward node says about itself: heartbeat, diagnostics, and one line in the log per cause."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from lrm_core.rewards import RewardStatus
from lrm_core.ros.diagnostics import ERROR, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_msgs.msg import RewardNodeStatus
from lrm_reward_node.load import Load
from lrm_reward_node.params import RewardParams
from lrm_reward_node.ros.cameras import CameraInput
from lrm_reward_node.tally import Tally

_OVERLOAD_LOG_PERIOD_S = 10.0


class Reports:
    """Collects from construction until :meth:`destroy`.

    Args:
        node: the node that reports.
        fingerprint: of the model.
        queued: number of queries that wait for it.
        memory_error: why the newest query could not be kept; empty when it was.
        cameras: the cameras, by name.
        interval_s: time between two queries now, 1/f; NaN while nothing is scored.
    """

    def __init__(
        self,
        node: LrmLifecycleNode[RewardParams],
        fingerprint: str,
        queued: Callable[[], int],
        memory_error: Callable[[], str],
        cameras: Mapping[str, CameraInput],
        interval_s: Callable[[], float] = lambda: math.nan,
    ) -> None:
        self._node, self._fingerprint, self._queued, self._memory_error = node, fingerprint, queued, memory_error
        self._interval_s = interval_s
        self.tally, self._load = Tally(), Load()
        self._complaint = ""
        self._diagnostics = Diagnostics(node, fingerprint)
        for name, camera in cameras.items():
            self._diagnostics.add(f"camera {name}", camera.report)
        self._diagnostics.add("scoring", self._scoring)

    def destroy(self) -> None:
        """Stop reporting."""
        self._diagnostics.destroy()

    def complain(self, text: str) -> None:
        """One line in the log per cause, not per message; diagnostics repeat it until :meth:`all_is_well`."""
        if text != self._complaint:
            self._node.get_logger().error(text)
        self._complaint = text

    def all_is_well(self) -> None:
        """A reward has a value again: what was complained about is over."""
        self._complaint = ""

    def decided(self, answered: bool) -> None:
        """A query was answered, or was LATE."""
        self._load.add(time.monotonic(), answered)
        if not answered:
            overload = self._load.complaint(time.monotonic())
            self._node.get_logger().warning(overload, throttle_duration_sec=_OVERLOAD_LOG_PERIOD_S)

    def status(self, episode_id: str) -> RewardNodeStatus:
        """The heartbeat now."""
        msg = RewardNodeStatus(model_fingerprint=self._fingerprint, queued=self._queued(), episode_id=episode_id)
        msg.header.stamp = self._node.get_clock().now().to_msg()
        msg.scored, msg.unknown = self.tally.scored, self.tally.unknown
        msg.transport_latency_p50_s = self.tally.transport_s(50)
        msg.model_latency_p50_s, msg.model_latency_p99_s = self.tally.model_s(50), self.tally.model_s(99)
        return msg

    def _scoring(self) -> Report:
        counts = {status.name.lower(): self.tally.by_status[status] for status in RewardStatus}
        latencies = {
            "transport_latency_p50_s": f"{self.tally.transport_s(50):.4f}",
            "model_latency_p50_s": f"{self.tally.model_s(50):.3f}",
            "model_latency_p99_s": f"{self.tally.model_s(99):.3f}",
            "deadline_s": f"{self._interval_s():.3f}",
        }
        asked_hz, answered_hz = self._load.rates_hz(time.monotonic())
        rates = {"asked_hz": f"{asked_hz:.2f}", "answered_hz": f"{answered_hz:.2f}"}
        unknown = {"unknown_share": f"{self.tally.unknown_share:.3f}", "queued": self._queued()}
        report = Report(values={**counts, **latencies, **rates, **unknown})
        causes = [self._complaint, self._load.complaint(time.monotonic()), self._too_slow()]
        causes = [cause for cause in causes if cause]
        if causes:
            report.raise_to(WARN, "; ".join(causes))
        if self._memory_error():
            report.raise_to(ERROR, self._memory_error())
        return report

    def _too_slow(self) -> str:
        """A model that takes longer than the time between two queries cannot keep up."""
        took_s, interval_s = self.tally.model_s(50), self._interval_s()
        return f"a reward takes {took_s:.2f} s: a query comes every {interval_s:.2f} s" if took_s > interval_s else ""
