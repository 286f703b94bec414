"""A bag written again as a whole: what was recorded, and new rewards beside it."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from lrm_bringup.bags.bag import IMAGE_TYPES, RecordedBag
from lrm_bringup.bags.decoding import ros2_type
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.recorder.bag import PARTIAL, Bag, Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.errors import BadInput


class NewMessage(Protocol):
    """A serialized message that was not recorded."""

    @property
    def topic(self) -> str:
        """Full name."""

    @property
    def log_ns(self) -> int:
        """When it goes into the bag."""

    @property
    def data(self) -> bytes:
        """CDR."""


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
    rewards: Iterable[NewMessage],
    reward_type: str,
    source: RecordedBag | None = None,
    images: bool = True,
    replaced: Collection[RecordedTopic] = (),
    facts: Mapping[str, str] | None = None,
) -> list[str]:
    """Write ``<folder>/<name>/<name>.mcap`` with the messages of ``source`` and the rewards, in the order of log time.

    Args:
        folder: where the bag is put.
        name: name of the bag.
        rewards: in the order of log time.
        reward_type: their message type.
        source: the bag to copy; None writes the rewards alone.
        images: copy the camera topics too.
        replaced: topics that are left out; a reward on the name of one has its quality of service.
        facts: what the new bag says about itself.

    Returns:
        One line for every topic that could not be copied.

    Raises:
        OSError: the disk is full or gone.
    """
    problems: list[str] = []
    topics, recorded = _copied(source, images, replaced, problems) if source else ({}, {})
    bag = Bag(folder, name, _Definitions(recorded), compressed=True, reserve_bytes=0)
    outgoing = {topic.name: _topic(topic) for topic in replaced}
    copied = ((message.log_ns, topics[message.topic], message.data) for message in _messages(source, topics))
    ours = ((r.log_ns, outgoing.get(r.topic) or Topic(r.topic, reward_type), r.data) for r in rewards)
    for log_ns, topic, data in heapq.merge(copied, ours, key=lambda message: message[0]):
        bag.write(topic, log_ns, data)
    bag.close(facts)
    (folder / PARTIAL).rmdir()
    return problems


def _copied(
    source: RecordedBag, images: bool, replaced: Collection[RecordedTopic], problems: list[str]
) -> tuple[dict[RecordedTopic, Topic], dict[str, tuple[str, str]]]:
    """Topics to copy, as they are written, and the definitions of their types."""
    topics: dict[RecordedTopic, Topic] = {}
    definitions: dict[str, tuple[str, str]] = {}
    for topic in source.topics:
        msgtype = ros2_type(topic.msgtype)
        if topic in replaced or (not images and msgtype in IMAGE_TYPES):
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
        topics[topic] = _topic(topic)
    return topics, definitions


def _messages(source: RecordedBag | None, topics: Collection[RecordedTopic]) -> Iterator[RecordedMessage]:
    yield from source.messages(topics) if source else ()


def _topic(topic: RecordedTopic) -> Topic:
    qos = tuple(_profiles(topic))
    latched = any(one.durability.name == "TRANSIENT_LOCAL" for one in qos)
    return Topic(topic.name, ros2_type(topic.msgtype), latched, qos)


def _profiles(topic: RecordedTopic) -> Iterator:  # type: ignore[type-arg]
    from rosbags.rosbag2 import ReaderError
    from rosbags.rosbag2.metadata import parse_qos

    try:
        yield from parse_qos(topic.qos)
    except (ReaderError, LookupError, TypeError, ValueError, AttributeError):  # foreign ones may hold anything
        return
