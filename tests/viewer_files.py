"""What the shipped layouts of Foxglove and rviz point at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.resources import config_path

FOXGLOVE, RVIZ = "foxglove/lrm.json", "rviz/lrm.rviz"
_STEP = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?P<index>\[\d+\])?")


def foxglove() -> dict[str, Any]:
    """The layout of Foxglove."""
    loaded: dict[str, Any] = json.loads(config_path(FOXGLOVE).read_text())
    return loaded


def rviz() -> dict[str, Any]:
    """The configuration of rviz."""
    loaded: dict[str, Any] = yaml.safe_load(config_path(RVIZ).read_text())
    return loaded


def foxglove_paths() -> set[str]:
    """Every topic and message path of the layout, for example ``/reward/progress.value``."""
    keys = ("value", "imageTopic", "calibrationTopic", "topicPath", "topicToRender")
    return {value for key, value in _leaves(foxglove()["configById"]) if key in keys}


def rviz_topics() -> set[str]:
    """Every topic of the configuration."""
    return {display["Topic"]["Value"] for display in rviz()["Visualization Manager"]["Displays"]}


def fault(path: str, types: Mapping[str, str], definitions: MessageDefinitions) -> str:
    """Why a message path does not lead to a value in a graph of these topics and types; empty when it does."""
    topic, _, fields = path.partition(".")
    if topic not in types:
        return f"{path}: no topic {topic}"
    msgtype = types[topic]
    definitions.of(msgtype)
    for step in filter(None, fields.split(".")):
        found = _STEP.fullmatch(step)
        held = dict(definitions.typestore.fielddefs[msgtype][1])
        if found is None or found["name"] not in held:
            return f"{path}: {msgtype} has no field {step}"
        kind, described = held[found["name"]]
        is_array = kind.name in ("ARRAY", "SEQUENCE")
        if is_array != bool(found["index"]):
            return f"{path}: {step} of {msgtype} is {'an array' if is_array else 'no array'}"
        inner, msgtype = described[0] if is_array else (kind, described)
        if inner.name == "BASE":
            return "" if path.endswith(step) else f"{path}: {step} has no fields"
    return ""


def _leaves(node: Any) -> Iterator[tuple[str, Any]]:
    items = node.items() if isinstance(node, dict) else [("", one) for one in node] if isinstance(node, list) else []
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _leaves(value)
        else:
            yield key, value
