"""The live graph on a canvas: every topic that can be drawn, from the moment it has a publisher."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from lrm_bringup.bags.decoding import MessageDecoder
from lrm_bringup.bags.faults import Faults
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.recorder.bag import Topic
from lrm_bringup.recorder.ros.discovery import OUTSIDE_NAMESPACE, Discovery, TopicFilter
from lrm_bringup.view.canvas import Canvas
from lrm_bringup.view.ros.drawing import TYPES, Drawing

_LOOK_S = 0.2
_LAYOUT_S = 2.0


class LiveView:
    """Draws one robot until it is told to stop. Nothing is kept: what the viewer does not take in time, DDS drops.

    Args:
        canvas: where to.
        namespace: of the robot; empty: the root.
        domain_id: DDS domain; None: as ROS_DOMAIN_ID says.
        names: of the robot's topics in the project, see :func:`lrm_core.robot.project_names`.

    Attributes:
        messages: number of messages drawn per topic.
        faults: messages that could not be drawn.
    """

    def __init__(
        self,
        canvas: Canvas,
        namespace: str = "",
        domain_id: int | None = None,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.canvas, self.messages, self.faults = canvas, dict[str, int](), Faults()
        robot = namespace.strip("/")
        self._decoder = MessageDecoder(self.faults)
        self._drawing = Drawing(canvas, [robot], self.faults)
        self._names = names
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("lrm_view", namespace=f"/{robot}", context=self._context)
        self._chosen = TopicFilter(f"/{robot}", (), (), names)
        self._discovery = Discovery(self._node, self._wanted, self._on_message, self._on_unknown)

    def run(self, stop: threading.Event, tell: Callable[[Mapping[str, int]], None] = lambda messages: None) -> None:
        """Draw until ``stop`` is set; ``tell`` gets the counts now and then."""
        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self._node)
        looked_s = laid_out_s = -_LAYOUT_S
        try:
            while not stop.is_set():
                now_s = time.monotonic()
                if now_s - looked_s > _LOOK_S:
                    looked_s = now_s
                    self._discovery.look()
                    tell(self.messages)
                if now_s - laid_out_s > _LAYOUT_S:
                    laid_out_s = now_s
                    self.canvas.show_layout()
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            return
        finally:
            executor.shutdown()
            self.canvas.show_layout()

    def close(self) -> None:
        """Leave the graph."""
        self._discovery.destroy()
        self._node.destroy_node()
        self._context.try_shutdown()
        self._context.destroy()

    def _wanted(self, name: str) -> bool:
        if not self._chosen(name) and name not in OUTSIDE_NAMESPACE:
            return False
        return any(msgtype in TYPES for msgtype in self._types_of(name))

    def _types_of(self, name: str) -> list[str]:
        return [publisher.topic_type for publisher in self._node.get_publishers_info_by_topic(name)]

    def _on_message(self, topic: Topic, arrival_ns: int, data: bytes) -> None:
        recorded = RecordedTopic(topic.name, topic.msgtype)
        fields = self._decoder.decode(RecordedMessage(recorded, arrival_ns, data))
        if fields is not None:
            self._drawing.draw(self._names.get(topic.name, topic.name), topic.msgtype, fields, arrival_ns)
            self.messages[topic.name] = self.messages.get(topic.name, 0) + 1

    def _on_unknown(self, topic: str, reason: str) -> None:
        self.faults.lose(topic, "type", f"is not drawn: {reason}")
