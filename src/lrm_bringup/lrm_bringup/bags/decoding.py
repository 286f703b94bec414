"""From the bytes of a message to its fields, with the definition that lies in the bag, or else the installed one."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

from lrm_bringup.bags.faults import Faults
from lrm_bringup.bags.types import RecordedMessage, RecordedTopic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.errors import BadInput, first_line

_PADDING = 3
"""Bytes after a payload that come from its alignment."""
_MAX_DEFINITION_CHARS = 1_000_000


class MessageDecoder:
    """Decodes the messages of a bag; what cannot be decoded is noted, once per topic and kind of fault.

    Args:
        faults: where faults are noted, under the name of the topic.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._installed = MessageDefinitions()
        self._refused: dict[RecordedTopic, str] = {}

    def refusal(self, topic: RecordedTopic) -> str:
        """Why no message of ``topic`` can be decoded; empty when they can."""
        if topic not in self._refused:
            if (msgtype := ros2_type(topic.msgtype)) != topic.msgtype:
                self._faults.warn(topic.name, "type name", f"the type {topic.msgtype!r} is read as {msgtype!r}")
            try:
                self._store(topic)
                self._refused[topic] = ""
            except BadInput as error:
                self._refused[topic] = str(error)
        return self._refused[topic]

    def decode(self, message: RecordedMessage) -> Any | None:
        """The message as an object with its fields (arrays are numpy arrays); None when it cannot be decoded."""
        topic = message.topic
        refusal = self.refusal(topic)
        if refusal:
            self._faults.lose(topic.name, "refused", f"refused: {refusal}")
            return None
        store, msgtype = self._store(topic)
        try:
            decoded, used = _deserialize(store, msgtype, message.data)
        except _failures() as error:
            text = f"{len(message.data)} bytes that are no {msgtype} ({first_line(error)})"
            self._faults.lose(topic.name, "payload", text)
            return None
        stray = len(message.data) - used
        if stray > _PADDING:
            self._faults.warn(topic.name, "stray bytes", f"{stray} stray bytes after the payload of a {msgtype}")
        return decoded

    def refuse(self, topic: RecordedTopic, why: str) -> None:
        """Decode no message of ``topic``, whatever it holds."""
        self._refused[topic] = why

    def definition(self, topic: RecordedTopic) -> tuple[str, str]:
        """Definition text and type hash of a topic, to write it into another bag.

        Raises:
            BadInput: the topic cannot be decoded, so nobody can say what its bytes mean.
        """
        store, msgtype = self._store(topic)
        if not topic.definition_format:
            return self._installed.of(msgtype)
        return topic.definition, store.hash_rihs01(msgtype)

    def _store(self, topic: RecordedTopic) -> tuple[Any, str]:
        if topic.serialization != "cdr":
            raise BadInput("serialization format", topic.serialization, "cdr, the format of ROS 2")
        msgtype = ros2_type(topic.msgtype)
        if not topic.definition_format:
            self._installed.of(msgtype)
            return self._installed.typestore, msgtype
        return _learnt(msgtype, topic.definition, topic.definition_format), msgtype


@lru_cache(maxsize=1024)  # the bags of a run repeat their definitions, and parsing one takes milliseconds
def _learnt(msgtype: str, definition: str, definition_format: str) -> Any:
    """A type store with the types of one definition."""
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    if definition_format not in ("ros2msg", "ros2idl") or len(definition) > _MAX_DEFINITION_CHARS:
        raise BadInput("format of the message definition", definition_format, "ros2msg or ros2idl, of a sane length")
    store = get_typestore(Stores.EMPTY)
    try:
        if definition_format == "ros2msg":
            store.register(get_types_from_msg(definition, msgtype))
        else:
            store.register(get_types_from_idl(definition))
        store.get_msgdef(msgtype)
    except _failures() as error:
        field = f"message definition of {msgtype}"
        raise BadInput(field, definition[:60], "one that can be read", f"({first_line(error)})") from error
    return store


def ros2_type(msgtype: str) -> str:
    """The name of a type as ROS 2 writes it: some tools leave out its middle part."""
    parts = msgtype.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else msgtype


def _deserialize(store: Any, msgtype: str, data: bytes) -> tuple[Any, int]:
    """The message and the number of bytes it took. ``Typestore.deserialize_cdr`` would refuse stray bytes."""
    if len(data) < 4 or data[:2] not in (b"\x00\x00", b"\x00\x01"):
        raise ValueError("it does not begin as CDR does")
    definition = store.get_msgdef(msgtype)
    read = definition.deserialize_cdr_le if data[1] else definition.deserialize_cdr_be
    message, used = read(data[4:], 0, definition.cls, store)
    return message, used + 4


def _failures() -> tuple[type[Exception], ...]:
    """What foreign bytes and definitions make the library raise."""
    from rosbags.serde import SerdeError
    from rosbags.typesys import TypesysError

    lookups = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError)
    return (SerdeError, TypesysError, struct.error, ValueError, TypeError, *lookups)
