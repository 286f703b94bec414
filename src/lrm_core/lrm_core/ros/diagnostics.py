"""A small publisher of ``/diagnostics`` (REP-107) and the tasks that several nodes want.

Frequency and age are taken from header stamps and the node's clock, so that they hold under simulated time; the stock
Python tasks of diagnostic_updater read wall time.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from lrm_core.ros import qos

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


@dataclass
class Report:
    """What one task says now. ``level`` is the worst of what was raised."""

    level: bytes = OK
    message: str = "ok"
    values: dict[str, object] = field(default_factory=dict)

    def raise_to(self, level: bytes, message: str) -> None:
        """Worsen the report; a milder finding changes nothing."""
        if level > self.level:
            self.level, self.message = level, message


Task = Callable[[], Report]


class Diagnostics:
    """Publishes every task once a second of wall time, so that a stopped simulation still reports.

    Every node says how much memory it takes, in task ``process``.
    """

    def __init__(self, node: Node, hardware_id: str, period_s: float = 1.0) -> None:
        self._node, self._hardware_id = node, hardware_id
        self._tasks: dict[str, Task] = {"process": process_report}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._timer = node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, name: str, task: Task) -> None:
        """Report ``task`` under ``<node>: <name>``."""
        self._tasks[name] = task

    def publish(self) -> None:
        """Publish all tasks now."""
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        prefix = self._node.get_fully_qualified_name().lstrip("/")
        for name, task in self._tasks.items():
            report = task()
            status = DiagnosticStatus(level=report.level, name=f"{prefix}: {name}", message=report.message)
            status.hardware_id = self._hardware_id
            status.values = [KeyValue(key=key, value=str(value)) for key, value in report.values.items()]
            array.status.append(status)
        self._publisher.publish(array)

    def destroy(self) -> None:
        """Stop reporting."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


class StreamTask:
    """Frequency and age of a stamped stream.

    Args:
        node: whose clock tells the age.
        min_hz: stamps slower than this are a warning.
        max_age_s: a newest stamp older than this is an error.
    """

    def __init__(self, node: Node, min_hz: float, max_age_s: float) -> None:
        self._node, self._min_hz, self._max_age_s = node, min_hz, max_age_s
        self._stamps_ns: deque[int] = deque(maxlen=50)

    def tick(self, stamp_ns: int) -> None:
        """Take the header stamp of the next message, nanoseconds."""
        if self._stamps_ns and stamp_ns < self._stamps_ns[-1]:
            self._stamps_ns.clear()
        self._stamps_ns.append(stamp_ns)

    def __call__(self) -> Report:
        """The report now."""
        report = Report()
        if not self._stamps_ns:
            return Report(STALE, "nothing received")
        age_s = (self._node.get_clock().now().nanoseconds - self._stamps_ns[-1]) / 1e9
        span_s = (self._stamps_ns[-1] - self._stamps_ns[0]) / 1e9
        rate_hz = (len(self._stamps_ns) - 1) / span_s if span_s > 0 else 0.0
        report.values = {"age_s": f"{age_s:.3f}", "frequency_hz": f"{rate_hz:.2f}"}
        if len(self._stamps_ns) > 1 and rate_hz < self._min_hz:
            report.raise_to(WARN, f"{rate_hz:.2f} Hz: expected at least {self._min_hz} Hz")
        if age_s > self._max_age_s:
            report.raise_to(ERROR, f"newest stamp is {age_s:.2f} s old: expected at most {self._max_age_s} s")
        return report


class LatencyTask:
    """How long something takes, against the time there is for it.

    Args:
        deadline_s: one period, 1/f; infinite where nothing waits for it.
        window: percentiles are taken over this many newest measurements.
    """

    def __init__(self, deadline_s: float, window: int = 200) -> None:
        self._deadline_s = deadline_s
        self._took_s: deque[float] = deque(maxlen=window)
        self._over = 0

    def add(self, seconds: float) -> None:
        """Take one measurement."""
        self._took_s.append(seconds)
        self._over += seconds > self._deadline_s

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the block."""
        began_s = perf_counter()
        yield
        self.add(perf_counter() - began_s)

    def __call__(self) -> Report:
        """The report now: a warning when the median is over the deadline; single ones are counted."""
        if not self._took_s:
            return Report(message="nothing measured yet", values={"deadline_s": f"{self._deadline_s:.4f}"})
        p50_s, p99_s = np.percentile(list(self._took_s), (50, 99))
        values = {"latency_p50_s": f"{p50_s:.4f}", "latency_p99_s": f"{p99_s:.4f}"}
        report = Report(values={**values, "deadline_s": f"{self._deadline_s:.4f}", "over_deadline": self._over})
        if p50_s > self._deadline_s:
            report.raise_to(WARN, f"takes {p50_s:.3f} s: a period is {self._deadline_s:.3f} s")
        return report


def process_report() -> Report:
    """Memory of this process, and on the GPU where PyTorch uses one."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    values: dict[str, object] = {"memory_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)}
    torch = sys.modules.get("torch")  # never imported for this: a node without a model has none
    if torch is not None and torch.cuda.is_initialized():
        values["gpu_memory_mb"] = round(torch.cuda.memory_allocated() / 1e6, 1)
        values["gpu_memory_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return Report(values=values)
