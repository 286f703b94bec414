"""Serialized messages of any installed type, without ROS."""

from __future__ import annotations

from typing import Any

from lrm_bringup.recorder.bag import Topic
from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_bringup.recorder.events import Message

DEFINITIONS = MessageDefinitions()


def message(topic: str, msgtype: str, **fields: Any) -> Message:
    """A message as a recorder gets it; fields that are not given are zero or empty."""
    DEFINITIONS.of(msgtype)
    store = DEFINITIONS.typestore
    blank = {name: _blank(kind) for name, kind in store.fielddefs[msgtype][1]}
    made = store.types[msgtype](**{**blank, **fields})
    return Message(Topic(topic, msgtype), 1, bytes(store.serialize_cdr(made, msgtype)))


def std_header(stamp_s: int) -> Any:
    """A header with a stamp of whole seconds."""
    types = DEFINITIONS.typestore.types
    return types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](stamp_s, 0), "")


def _blank(kind: Any) -> Any:
    inner = kind[1]
    if inner == "std_msgs/msg/Header":
        return std_header(0)
    if inner == "builtin_interfaces/msg/Time":
        return DEFINITIONS.typestore.types[inner](0, 0)
    return "" if inner == ("string", 0) else 0
