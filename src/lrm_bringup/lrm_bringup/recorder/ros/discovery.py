"""Which topics there are, what their publishers offer, and subscriptions to them that keep messages serialized."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import rclpy.qos
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.subscription import Subscription
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from lrm_bringup.recorder.bag import Topic

OUTSIDE_NAMESPACE = ("/clock", "/diagnostics", "/rosout", "/tf", "/tf_static")
"""Topics that belong to every robot."""
_LARGE = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2")
_LARGE_DEPTH, _DEPTH = 100, 1000
"""Messages that wait to be taken: seconds of a fast topic, and not more images than memory can take."""
_POLL_PERIOD_S = 0.02
_AT_ONCE = 200
"""Messages of one topic that are taken at once, so that a flood leaves the others their turn."""


class _Polled(CallbackGroup):
    """Keeps subscriptions out of the executor's wait set.

    The executor builds that set anew for every message; with some twenty topics this took most of a core.
    """

    def can_execute(self, entity: Any) -> bool:
        """False for subscriptions; their events stay with the executor."""
        return not isinstance(entity, Subscription)

    def beginning_execution(self, entity: Any) -> bool:
        """Nothing excludes anything."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Nothing to give back."""


class TopicFilter:
    """Chooses topics by name.

    Args:
        namespace: of the recorder; its topics are recorded, and those of every robot.
        topics: patterns to record in place of that.
        exclude: patterns that are never recorded.
        robot: full names of the robot's topics, in its namespace or not; recorded where nothing else is asked for.
    """

    def __init__(
        self, namespace: str, topics: Sequence[str], exclude: Sequence[str], robot: Iterable[str] = ()
    ) -> None:
        inside = f"{namespace.rstrip('/')}/*"
        self._topics = tuple(topics) or (inside, *OUTSIDE_NAMESPACE, *robot)
        self._exclude = tuple(exclude)

    def __call__(self, name: str) -> bool:
        """True when the topic is to be recorded. Hidden topics (a part begins with ``_``) only when asked for."""
        asked = [pattern for pattern in self._topics if fnmatchcase(name, pattern)]
        hidden = "/_" in name and not any("/_" in pattern for pattern in asked)
        return bool(asked) and not hidden and not any(fnmatchcase(name, pattern) for pattern in self._exclude)


class Discovery:
    """Subscribes every chosen topic as soon as it has a publisher, and takes what waits at a fixed rate.

    A publisher that comes later and offers less than the subscription asks for is subscribed anew, for less.

    Args:
        node: the recorder.
        chosen: which names.
        on_message: called with topic, arrival (wall time, nanoseconds) and serialized message; in the order of
            arrival among those that are taken together.
        on_unknown: called once with a topic and the reason why its type cannot be subscribed.

    Attributes:
        lost: messages that the middleware says it lost before the recorder could take them.
    """

    def __init__(
        self,
        node: Node,
        chosen: Callable[[str], bool],
        on_message: Callable[[Topic, int, bytes], None],
        on_unknown: Callable[[str, str], None],
    ) -> None:
        self._node, self._chosen, self._on_message, self._on_unknown = node, chosen, on_message, on_unknown
        self._subscriptions: dict[str, Subscription | None] = {}
        self._topics: dict[str, Topic] = {}
        self._group = _Polled()
        self._timer = node.create_timer(_POLL_PERIOD_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.lost = 0

    @property
    def topics(self) -> list[str]:
        """Names subscribed so far. May be asked by any thread."""
        return [name for name, subscription in list(self._subscriptions.items()) if subscription is not None]

    def look(self) -> None:
        """Subscribe what is new."""
        for name, types in self._node.get_topic_names_and_types():
            if name not in self._subscriptions and self._chosen(name):
                publishers = self._node.get_publishers_info_by_topic(name)
                if publishers:
                    self._subscribe(name, types[0], [publisher.qos_profile for publisher in publishers])

    def destroy(self) -> None:
        """Take what still waits, then drop all subscriptions."""
        self._node.destroy_timer(self._timer)
        self._poll()
        for subscription in filter(None, self._subscriptions.values()):
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(self, name: str, type_name: str, offered: list[rclpy.qos.QoSProfile]) -> None:
        try:
            kind = message_class(type_name)
        except (ImportError, AttributeError, ValueError) as error:
            self._subscriptions[name] = None
            self._on_unknown(name, f"type {type_name} is not installed ({error})")
            return
        profile = _compatible(offered, _LARGE_DEPTH if type_name in _LARGE else _DEPTH)
        latched = profile.durability == rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL
        self._topics[name] = Topic(name, type_name, latched, tuple(_bag_qos(one) for one in offered))
        # The default callbacks would only warn, and cost the executor one more thing to look after per topic.
        events = SubscriptionEventCallbacks(
            message_lost=self._on_lost,
            incompatible_qos=lambda _: self._on_lesser_publisher(name),
            use_default_callbacks=False,
        )
        self._subscriptions[name] = self._node.create_subscription(
            kind, name, _never_called, profile, callback_group=self._group, event_callbacks=events, raw=True
        )

    def _poll(self) -> None:
        taken = [
            (stamp_ns, self._topics[name], data)
            for name, subscription in self._subscriptions.items()
            if subscription is not None
            for stamp_ns, data in _waiting(subscription)
        ]
        for stamp_ns, topic, data in sorted(taken, key=lambda one: one[0]):
            self._on_message(topic, stamp_ns, data)

    def _on_lesser_publisher(self, name: str) -> None:
        """Give up the subscription, once what waits is taken; the next look makes one that suits all publishers."""
        self._node.get_logger().warning(f"{name} has a publisher that offers less than before: it is subscribed anew")
        self._poll()
        subscription = self._subscriptions.pop(name, None)
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def _on_lost(self, info: Any) -> None:
        self.lost += info.total_count_change


def _waiting(subscription: Subscription) -> Iterator[tuple[int, bytes]]:
    """Arrival and bytes of what waits at a subscription."""
    with subscription.handle:
        for _ in range(_AT_ONCE):
            taken = subscription.handle.take_message(subscription.msg_type, True)
            if taken is None:
                return
            data, info = taken
            yield int(info["received_timestamp"]), data


def _never_called(data: bytes) -> None:
    raise AssertionError("the executor does not look at polled subscriptions")


def message_class(type_name: str) -> Any:
    """The class of ``package/msg/Name``; raises ImportError or AttributeError where it is not installed."""
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def _compatible(offered: list[rclpy.qos.QoSProfile], depth: int) -> rclpy.qos.QoSProfile:
    """The strictest profile that still matches every publisher, deep enough for a burst."""
    reliable = all(one.reliability == rclpy.qos.ReliabilityPolicy.RELIABLE for one in offered)
    latched = all(one.durability == rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL for one in offered)
    return rclpy.qos.QoSProfile(
        depth=depth,
        reliability=rclpy.qos.ReliabilityPolicy.RELIABLE if reliable else rclpy.qos.ReliabilityPolicy.BEST_EFFORT,
        durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL if latched else rclpy.qos.DurabilityPolicy.VOLATILE,
    )


def _bag_qos(profile: rclpy.qos.QoSProfile) -> Qos:
    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory(int(profile.history)),
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        forever,
        forever,
        QosLiveliness(int(profile.liveliness)),
        forever,
        False,
    )
