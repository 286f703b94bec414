"""What was seen of a robot, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Stream:
    """What arrived on one topic while it was listened to.

    Attributes:
        topic: full name.
        kind: type that was listened for, for example ``sensor_msgs/msg/Image``.
        types: types of its publishers in the graph; empty: nobody publishes.
        publishers: full names of the nodes that publish, one per publisher.
        qos_fault: why DDS would not connect the publisher with this project's nodes; empty: it would.
        arrivals_s: steady time of every message.
        ages_s: arrival minus header stamp of every message, on the clock of the graph.
        stamps_ns: header stamp of every message.
        joints: newest joint state: name -> position.
        order: names in the order of the newest joint state.
        largest: largest absolute position per joint.
        image: encoding, width and height of the newest picture; of a cloud the names of its fields.
    """

    topic: str
    kind: str
    types: list[str] = field(default_factory=list)
    publishers: list[str] = field(default_factory=list)
    qos_fault: str = ""
    arrivals_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    joints: dict[str, float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    largest: dict[str, float] = field(default_factory=dict)
    image: tuple[str, int, int] = ("", 0, 0)

    @property
    def rate_hz(self) -> float:
        """Messages per second between the first and the last; 0 with fewer than two."""
        if len(self.arrivals_s) < 2:
            return 0.0
        return (len(self.arrivals_s) - 1) / max(self.arrivals_s[-1] - self.arrivals_s[0], 1e-9)


@dataclass
class Sink:
    """Who listens to a command.

    Attributes:
        topic: full name of the topic, or of the action.
        kind: type that is sent.
        types: types of its subscriptions; of the action's server.
        publishers: full names of the nodes that publish on it.
        qos_fault: as in :class:`Stream`.
    """

    topic: str
    kind: str
    types: list[str] = field(default_factory=list)
    publishers: list[str] = field(default_factory=list)
    qos_fault: str = ""


@dataclass
class Seen:
    """Everything that was seen.

    Attributes:
        seconds: how long was listened.
        state: joint states.
        cameras: by name.
        command: the arm's controller.
        gripper: the gripper's; None: it is part of the arm's command.
        reset: name and types of the reset service; None: the contract names none.
        depths: by name of the camera, of those that have one.
        published: every topic of the graph with a publisher -> its types.
        subscribed: every topic with a subscription -> its types.
    """

    seconds: float
    state: Stream
    cameras: dict[str, Stream]
    command: Sink
    gripper: Sink | None
    reset: tuple[str, list[str]] | None
    depths: dict[str, Stream] = field(default_factory=dict)
    published: Mapping[str, list[str]] = field(default_factory=dict)
    subscribed: Mapping[str, list[str]] = field(default_factory=dict)
