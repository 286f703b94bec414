"""The player node: a bag's cameras, episodes and clock, published with their recorded stamps."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.player.params import PlayerParams
from lrm_bringup.player.playback import Playback
from lrm_bringup.player.selection import CLOCK, chosen, is_latched, type_of
from lrm_bringup.recorder.ros.discovery import message_class
from lrm_core.errors import BadInput
from lrm_core.ros import qos, stamps
from lrm_core.ros.diagnostics import ERROR, WARN, Diagnostics, Report
from lrm_core.ros.lifecycle import LrmLifecycleNode, run

_LOOK_S, _MAX_BEHIND_S, _DEPTH = 0.2, 1.0, 20


class PlayerNode(LrmLifecycleNode[PlayerParams]):
    """Plays one bag once. Stamps stay as they are; a bag without ``/clock`` gets one from its log times.

    Publishing happens on a thread of its own, from the bytes in the bag: nothing is decoded.
    """

    params_class = PlayerParams

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("player", **node_arguments)
        self._thread: threading.Thread | None = None

    def configure_node(self, params: PlayerParams) -> None:
        """Open the bag and create a publisher for every topic that is played."""
        if not params.bag:
            raise BadInput("parameter bag", "", "a recorded run", "For example: lrm up replay out/bags/NAME.")
        self._bag, self._told = RecordedBag(Path(params.bag).expanduser()), set[str]()
        names = chosen(self._bag, params.topics)
        self._tell_faults()
        self._publishers_open = {topic: self._publisher(topic, name) for topic, name in names.items()}
        clock_recorded = CLOCK in names.values()
        self._clock_topic = None if clock_recorded else self.create_publisher(Clock, CLOCK, qos.CLOCK)
        self._playback = Playback(self._bag.messages(names), params.rate, self._send, self._tell_time)
        self._stop, self._fault, self._waiting = threading.Event(), "", False
        self._diagnostics = Diagnostics(self, params.bag)
        self._diagnostics.add("playback", self._report)

    def activate_node(self) -> None:
        """Play, as soon as the awaited node listens."""
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def deactivate_node(self) -> None:
        """Stop; the rest of the bag is not played."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def cleanup_node(self) -> None:
        """Close what is open."""
        for publisher in self.__dict__.pop("_publishers_open", {}).values():
            self.destroy_publisher(publisher)
        clock = self.__dict__.pop("_clock_topic", None)
        if clock is not None:
            self.destroy_publisher(clock)
        if "_diagnostics" in self.__dict__:
            self.__dict__.pop("_diagnostics").destroy()

    def _publisher(self, topic: RecordedTopic, name: str) -> Any:
        try:
            kind = message_class(type_of(topic))
        except (ImportError, AttributeError, ValueError) as error:
            allowed = "a message type that is installed"
            raise BadInput(
                f"type of {topic.name}", topic.msgtype, allowed, f"Leave it out of topics. {error}"
            ) from error
        return self.create_publisher(kind, name, qos.CLOCK if name == CLOCK else _profile(topic))

    def _play(self) -> None:
        try:
            if self._awaited():
                self.get_logger().info(f"playing {self._bag.path}")
                self._playback.run(self._stop)
        except Exception as error:  # a thread's exception would vanish; here it becomes the node's diagnosis
            self._fault = f"{type(error).__name__}: {error}"
            self.get_logger().error(self._fault)
        self._tell_faults()
        if self._playback.done:
            self.get_logger().info(f"{self._playback.sent} messages of {self._bag.path} were played")

    def _tell_faults(self) -> None:
        for text in [str(fault) for fault in self._bag.faults]:
            if text not in self._told:
                self.get_logger().warning(f"{self._bag.path}: {text}")
            self._told.add(text)

    def _awaited(self) -> bool:
        """Wait for the node that is to hear it all; False when told to stop or when it does not come."""
        wanted, end_s = self.params.wait_for_node, time.monotonic() + self.params.wait_timeout_s
        self._waiting = bool(wanted)
        while self._waiting and not self._hears(wanted):
            if self._stop.wait(_LOOK_S):
                return False
            if time.monotonic() > end_s:
                self._fault = f"no node {wanted} listens after {self.params.wait_timeout_s:g} s: nothing was played"
                self.get_logger().error(self._fault)
                return False
        self._waiting = False
        return True

    def _hears(self, wanted: str) -> bool:
        topics = [publisher.topic for publisher in self._publishers_open.values() if publisher.topic != CLOCK]
        return any(one.node_name == wanted for topic in topics for one in self.get_subscriptions_info_by_topic(topic))

    def _send(self, message: RecordedMessage) -> None:
        self._publishers_open[message.topic].publish(message.data)

    def _tell_time(self, now_ns: int) -> None:
        if self._clock_topic is not None:
            self._clock_topic.publish(Clock(clock=stamps.from_ns(now_ns)))

    def _report(self) -> Report:
        playback = self._playback
        state = "waiting" if self._waiting else "done" if playback.done else "playing"
        values = {"state": state, "messages": playback.sent, "position_s": f"{playback.position_s:.2f}"}
        report = Report(
            message=state, values={**values, "rate": self.params.rate, "behind_s": f"{playback.behind_s:.3f}"}
        )
        if playback.behind_s > _MAX_BEHIND_S:
            report.raise_to(WARN, f"{playback.behind_s:.1f} s behind: lower rate")
        if self._fault:
            report.raise_to(ERROR, self._fault)
        return report


def _profile(topic: RecordedTopic) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if is_latched(topic) else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def main() -> None:
    """Console script ``lrm_player``."""
    sys.exit(run(PlayerNode))


if __name__ == "__main__":
    main()
