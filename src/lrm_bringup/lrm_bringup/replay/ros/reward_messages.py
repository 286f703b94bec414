"""Replayed rewards as the messages that the reward node would have published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rclpy.serialization import serialize_message

from lrm_bringup.bags.types import RecordedTopic
from lrm_bringup.replay.scoring import ReplayedQuery
from lrm_bringup.replay.series import Series
from lrm_core.robot.names import topic_name
from lrm_reward_node.ros.messages import rewards_of

REWARD_TYPE = "lrm_msgs/msg/Reward"


@dataclass(frozen=True)
class RewardMessage:
    """One serialized reward: topic, log time (nanoseconds), CDR bytes."""

    topic: str
    log_ns: int
    data: bytes


def reward_messages(
    replayed: ReplayedQuery, series: Sequence[Series], merged: RewardTopics | None = None
) -> Iterator[RewardMessage]:
    """All rewards of one query: ``/replay/<series>/reward/<head>``, with several cameras also those of each.

    Args:
        replayed: the query.
        series: who answered it.
        merged: the names that the live node has, for the only series; None: names of their own.
    """
    for named, scored in zip(series, replayed.answers, strict=True):
        for camera, msg in rewards_of(scored, math.nan, named.fingerprint):
            if merged is not None:
                topic = merged.name(camera, str(msg.head))
            else:
                below = f"{topic_name(camera)}/" if camera else ""
                topic = f"/replay/{topic_name(named.label)}/reward/{below}{msg.head}"
            yield RewardMessage(topic, replayed.asked.log_ns, serialize_message(msg))


@dataclass(frozen=True)
class RewardTopics:
    """The names of a live node's rewards.

    Attributes:
        namespace: of the robot, with a slash before it and none behind; empty: none.
        recorded: topics of the bag that hold such rewards.
    """

    namespace: str = ""
    recorded: tuple[RecordedTopic, ...] = ()

    def name(self, camera: str, head: str) -> str:
        """``<namespace>/reward/<head>``, of one of several cameras ``<namespace>/reward/<camera>/<head>``."""
        inside = camera.removeprefix(f"{self.namespace.strip('/')}/") if self.namespace else camera
        return f"{self.namespace}/reward/{inside}/{head}" if camera else f"{self.namespace}/reward/{head}"
