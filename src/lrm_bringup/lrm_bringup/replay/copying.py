"""The bag that comes out: what was recorded, and the replayed rewards beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.bags.bag import IMAGE_TYPES, RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedTopic
from lrm_bringup.recorder.bag import PARTIAL, Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.errors import BadInput

if TYPE_CHECKING:
    from lrm_bringup.replay.ros.reward_messages import RewardMessage


class _Definitions(MessageDefinitions):
    """Definitions as they lie in the bag that is copied, the installed ones for all others."""

    def __init__(self, recorded: dict[str, tuple[str, str]]) -> None:
        super().__init__()
        self._recorded = recorded

    def of(self, msgtype: str) -> tuple[str, str]:
        return self._recorded.get(msgtype) or super().of(msgtype)


def write_bag(
    folder: Path,
    name: str,
    rewards: Iterable[RewardMessage],
    reward_type: str,
    source: RecordedBag | None = None,
    images: bool = True,
) -> list[str]:
    """Write ``<folder>/<name>/<name>.mcap`` with the messages of ``source`` and the rewards, in the order of log time.

    Args:
        folder: where the bag is put.
        name: name of the bag.
        rewards: in the order of log time.
        reward_type: their message type.
        source: the bag to copy; None writes the rewards alone.
        images: copy the camera topics too.

    Returns:
        One line for every topic that could not be copied.

    Raises:
        OSError: the disk is full or gone.
    """
    problems: list[str] = []
    topics, recorded = _copied(source, images, problems) if source else ({}, {})
    bag = Bag(folder, name, _Definitions(recorded), compressed=True, reserve_bytes=0)
    waiting = iter(rewards)
    following = next(waiting, None)
    for message in source.messages(topics) if source else ():
        while following is not None and following.log_ns < message.log_ns:
            bag.write(Topic(following.topic, reward_type), following.log_ns, following.data)
            following = next(waiting, None)
        bag.write(topics[message.topic], message.log_ns, message.data)
    while following is not None:
        bag.write(Topic(following.topic, reward_type), following.log_ns, following.data)
        following = next(waiting, None)
    bag.close(source.facts if source else None)
    (folder / PARTIAL).rmdir()
    return problems


def _copied(
    source: RecordedBag, images: bool, problems: list[str]
) -> tuple[dict[RecordedTopic, Topic], dict[str, tuple[str, str]]]:
    """Topics to copy, as they are written, and the definitions of their types."""
    topics: dict[RecordedTopic, Topic] = {}
    definitions: dict[str, tuple[str, str]] = {}
    for topic in source.topics:
        msgtype = ros2_type(topic.msgtype)
        if not images and msgtype in IMAGE_TYPES:
            continue
        try:
            if why := source.decoder.refusal(topic):
                raise BadInput("topic", topic.name, "one that can be decoded", why)
            definition = source.decoder.definition(topic)
            if definitions.setdefault(msgtype, definition) != definition:
                raise BadInput("message definition", msgtype, "the same one for all topics of a type")
        except BadInput as error:
            problems.append(f"{topic.name} is not copied: {error}")
            continue
        qos = tuple(_profiles(topic))
        topics[topic] = Topic(topic.name, msgtype, any(one.durability.name == "TRANSIENT_LOCAL" for one in qos), qos)
    return topics, definitions


def _profiles(topic: RecordedTopic) -> Iterator:  # type: ignore[type-arg]
    from rosbags.rosbag2 import ReaderError
    from rosbags.rosbag2.metadata import parse_qos

    try:
        yield from parse_qos(topic.qos)
    except (ReaderError, LookupError, TypeError, ValueError, AttributeError):  # foreign ones may hold anything
        return
