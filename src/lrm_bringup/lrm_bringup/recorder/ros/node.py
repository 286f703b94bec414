"""The recorder node: raw subscriptions to everything, split into bags by the episode status."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from rclpy.clock import Clock, ClockType
from rclpy.serialization import deserialize_message

from lrm_bringup.recorder.bag import Topic
from lrm_bringup.recorder.events import Mark, Message, Phase
from lrm_bringup.recorder.facts import ROBOT_STATE, ROBOT_TOPICS
from lrm_bringup.recorder.mending import left_open, mend_all
from lrm_bringup.recorder.params import RecorderParams
from lrm_bringup.recorder.recording import Recording
from lrm_bringup.recorder.ros.compression import ImageCompression
from lrm_bringup.recorder.ros.discovery import Discovery, TopicFilter
from lrm_bringup.recorder.ros.graph_parameters import GraphParameters
from lrm_bringup.recorder.worker import Worker
from lrm_bringup.versions import revision, ros_distro, versions
from lrm_core.disk import LOCK, hold
from lrm_core.robot import load_robot, project_names
from lrm_core.ros import stamps
from lrm_core.ros.diagnostics import ERROR, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run
from lrm_msgs.msg import EpisodeStatus

_DISCOVERY_PERIOD_S = 0.2
_RUNS = (EpisodeStatus.RESETTING, EpisodeStatus.RUNNING, EpisodeStatus.ENDING)


class RecorderNode(LrmLifecycleNode[RecorderParams]):
    """Records one robot, one bag per episode."""

    params_class = RecorderParams

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("recorder", **node_arguments)
        self._session: _Session | None = None
        self._out_dir = Path()
        self._lock: BinaryIO | None = None
        self._mending: threading.Thread | None = None
        self._program: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def configure_node(self, params: RecorderParams) -> None:
        """Take the folder of the bags, and save what a recorder that died left in it."""
        robot = load_robot(params.robot) if params.robot else None
        self._names = project_names(robot, self.get_namespace()) if robot else {}
        self._out_dir = Path(params.out_dir).expanduser()
        self._lock = hold(self._out_dir / LOCK, "parameter out_dir", self._out_dir, "recorder")
        self._program = {
            "versions": json.dumps(versions()), "revision": revision(), "ros_distro": ros_distro(),
            **({ROBOT_TOPICS: json.dumps(self._names), ROBOT_STATE: robot.state_units.to_json()} if robot else {}),
        }  # fmt: skip
        # In a thread of its own: the episode of a recorder that died goes on meanwhile, and is recorded.
        arguments = (self._out_dir, left_open(self._out_dir), self.log_line)
        self._mending = threading.Thread(target=mend_all, args=arguments, name="mending", daemon=True)
        self._mending.start()

    def activate_node(self) -> None:
        """Subscribe and record."""
        self._session = _Session(self, self.params, self._out_dir, self._program, self._names)

    def deactivate_node(self) -> None:
        """Stop, write what waits, close the bag."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def cleanup_node(self) -> None:
        """Let another recorder have the folder."""
        if self._mending is not None:
            self._mending.join()
        self._mending = None
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def log_line(self, text: str, is_error: bool) -> None:
        """One line in the log, from any thread."""
        logger = self.get_logger()
        if is_error:
            logger.error(text)
        else:
            logger.info(text)


class _Session:
    """Records from construction until :meth:`close`."""

    def __init__(
        self, node: RecorderNode, params: RecorderParams, out_dir: Path, program: dict[str, str], robot: Iterable[str]
    ) -> None:
        self._node, self._program = node, program
        self._status_topic = node.resolve_topic_name("episode_status")
        self._parameters = GraphParameters(node)
        self._recording = Recording(out_dir, params, node.log_line, self._about)
        self._worker = Worker(self._recording, params.queue_mb * 1_000_000, self._conversion(params))
        chosen = TopicFilter(node.get_namespace(), params.topics, params.exclude, robot)
        self._discovery = Discovery(node, self._chosen(chosen), self._on_message, self._on_unknown)
        self._unknown: dict[str, str] = {}
        self._worker.start()
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_DISCOVERY_PERIOD_S, self._look, clock=clock)
        self._look()
        self._diagnostics = Diagnostics(node, str(out_dir))
        self._diagnostics.add("recording", self._report)

    def close(self) -> None:
        """Stop listening, write what waits, close the bag."""
        self._node.destroy_timer(self._timer)
        self._discovery.destroy()
        self._parameters.destroy()
        self._worker.stop()
        self._diagnostics.publish()
        self._diagnostics.destroy()

    def _look(self) -> None:
        self._discovery.look()
        self._parameters.look()

    def _about(self) -> dict[str, str]:
        """Called by the thread that writes."""
        return {**self._program, "parameters": json.dumps(self._parameters.values, sort_keys=True)}

    def _conversion(self, params: RecorderParams) -> Callable[[Message], Message]:
        if params.image_compression == "none":
            return lambda message: message
        return ImageCompression(
            params.image_compression,
            params.jpeg_quality,
            published=lambda: self._discovery.topics,
            on_refused=lambda topic, why: self._node.log_line(f"{topic} is recorded raw: {why}", False),
        )

    def _chosen(self, chosen: TopicFilter) -> Any:
        return lambda name: name == self._status_topic or chosen(name)

    def _on_message(self, topic: Topic, stamp_ns: int, data: bytes) -> None:
        message = Message(topic, stamp_ns, data)
        mark = self._mark(message) if topic.name == self._status_topic else None
        # A start opens the bag that the status message itself is in.
        if mark is not None and mark.phase is Phase.RUNS:
            self._worker.mark(mark)
        self._worker.message(message)
        if mark is not None and mark.phase is Phase.OVER:
            self._worker.mark(mark)

    def _mark(self, message: Message) -> Mark | None:
        try:
            status: EpisodeStatus = deserialize_message(message.data, EpisodeStatus)
        except RuntimeError as error:  # of the middleware
            self._recording.note_malformed(message.topic.name, error)
            return None
        if not status.episode_id:
            return None
        phase = Phase.RUNS if status.state in _RUNS else Phase.OVER
        start_ns = stamps.to_ns(status.start_stamp)
        return Mark(
            phase, status.episode_id, status.termination_reason, message.stamp_ns, start_ns,
            stamps.to_ns(status.end_stamp), status.task, status.seed,
            "refine" if status.mode == EpisodeStatus.REFINE else "evaluate", status.weights_version,
        )  # fmt: skip

    def _on_unknown(self, topic: str, reason: str) -> None:
        self._unknown[topic] = reason
        self._node.get_logger().warning(f"{topic} is not recorded: {reason}")

    def _report(self) -> Report:
        recording, dropped = self._recording, self._worker.dropped + self._recording.dropped
        values = {"bags": recording.bags, "messages": recording.written, "dropped": dropped}
        values |= {"lost": self._discovery.lost, "malformed": recording.malformed.total()}
        values |= {"topics": len(self._discovery.topics), "nodes_with_parameters": len(self._parameters.values)}
        report = Report(values={**values, "deleted": recording.budget.deleted, "episode": recording.episode_id})
        if self._unknown:
            report.raise_to(WARN, f"not recorded, type not installed: {sorted(self._unknown)}")
        if dropped:
            report.raise_to(WARN, f"{dropped} messages are in no bag")
        if self._discovery.lost:
            report.raise_to(WARN, f"{self._discovery.lost} messages were lost on their way to the recorder")
        if malformed := dict(recording.malformed):
            report.raise_to(WARN, f"recorded as they came, cannot be decoded: {malformed}")
        if recording.budget.exceeded:
            report.raise_to(WARN, "the disk budget is exceeded: the bags of the last good checkpoint are kept")
        if recording.error:
            report.raise_to(ERROR, recording.error)
        return report


def main() -> None:
    """Console script ``lrm_recorder``."""
    sys.exit(run(RecorderNode))


if __name__ == "__main__":
    main()
