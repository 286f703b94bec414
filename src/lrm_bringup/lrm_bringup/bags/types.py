"""Topics and messages as they lie in a file: names, formats and bytes, nothing decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RecordedTopic:
    """A topic of a bag. Two files of a bag may disagree about one: they are two topics then.

    Attributes:
        name: as recorded, with or without a leading slash.
        msgtype: as recorded, for example ``sensor_msgs/msg/Image``.
        serialization: ``cdr`` for ROS 2.
        definition: the message definition inside the file; empty when there is none.
        definition_format: ``ros2msg``, ``ros2idl``; as recorded.
        qos: offered profiles, YAML as rosbag2 keeps them.
    """

    name: str
    msgtype: str
    serialization: str = "cdr"
    definition: str = ""
    definition_format: str = ""
    qos: str = ""


@dataclass(frozen=True)
class RecordedMessage:
    """One message: its topic, the log time of its arrival (nanoseconds) and its bytes."""

    topic: RecordedTopic
    log_ns: int
    data: bytes


class BagFile(Protocol):
    """One file of a bag.

    Attributes:
        counts: messages of every topic, as the file itself says or as they were counted.
    """

    counts: dict[RecordedTopic, int]

    def messages(self, wanted: frozenset[RecordedTopic] | None = None) -> Iterator[RecordedMessage]:
        """All messages of the wanted topics (None: of all), in the order of the file. Faults are noted, not raised."""
        ...
