"""Replayed rewards as the messages that the reward node would have published."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rclpy.serialization import serialize_message

from lrm_bringup.replay.scoring import ReplayedQuery
from lrm_bringup.replay.series import Series
from lrm_reward_node.ros.messages import rewards_of

REWARD_TYPE = "lrm_msgs/msg/Reward"


@dataclass(frozen=True)
class RewardMessage:
    """One serialized reward: topic, log time (nanoseconds), CDR bytes."""

    topic: str
    log_ns: int
    data: bytes


def reward_messages(replayed: ReplayedQuery, series: Sequence[Series]) -> Iterator[RewardMessage]:
    """All rewards of one query: ``/replay/<series>/reward/<head>``, with several cameras also those of each."""
    for named, scored in zip(series, replayed.answers, strict=True):
        for camera, msg in rewards_of(scored, math.nan, named.fingerprint):
            below = f"{topic_name(camera)}/" if camera else ""
            topic = f"/replay/{topic_name(named.label)}/reward/{below}{msg.head}"
            yield RewardMessage(topic, replayed.asked.log_ns, serialize_message(msg))


def topic_name(text: str) -> str:
    """``text`` as a part of a topic name: letters, digits and underscores, no digit first."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in text)
    return f"_{kept}" if kept[:1].isdigit() else kept
