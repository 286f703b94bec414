"""A bag on a canvas."""

from __future__ import annotations

from collections.abc import Callable

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.view.canvas import Canvas
from lrm_bringup.view.names import robots
from lrm_bringup.view.ros.drawing import TYPES, Drawing
from lrm_core.errors import BadInput


class BagView:
    """A bag that is drawn from its first message to its last.

    Attributes:
        messages: number of messages that will be drawn, as the bag says.

    Raises:
        BadInput: it cannot be read, or holds nothing that is drawn.
    """

    def __init__(self, bag: RecordedBag) -> None:
        self._bag = bag
        drawn = [topic for topic in bag.topics if ros2_type(topic.msgtype) in TYPES and bag.counts[topic]]
        refused = {topic: why for topic in drawn if (why := bag.decoder.refusal(topic))}
        self._topics = [topic for topic in drawn if topic not in refused]
        self.messages = sum(bag.counts[topic] for topic in self._topics)
        for topic, why in refused.items():
            bag.faults.lose(topic.name, "refused", f"refused: {why}", bag.counts[topic])
        if not self._topics:
            held = "; ".join(map(str, bag.faults)) or f"it holds {sorted({t.msgtype for t in bag.topics})}"
            raise BadInput("bag", bag.path.name, "one with messages that can be drawn", f"({held[:400]})")

    def draw(self, canvas: Canvas, progress: Callable[[int], None]) -> list[str]:
        """Draw it; returns what was wrong with it, one line per problem."""
        bag = self._bag
        drawing = Drawing(canvas, robots((bag.called(t), ros2_type(t.msgtype)) for t in bag.topics), bag.faults)
        for done, (message, fields) in enumerate(bag.decoded(self._topics), 1):
            drawing.draw(bag.called(message.topic), message.topic.msgtype, fields, message.log_ns)
            progress(done)
        return [str(fault) for fault in bag.faults]
