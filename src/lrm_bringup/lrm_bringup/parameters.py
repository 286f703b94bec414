"""The parameters of every node: where they are defined, what the shipped files say, and their documentation."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lrm_bringup.graph import (
    DRIVER,
    GAZEBO,
    LEARNER,
    PLAYER,
    POLICY,
    RECORDER,
    REWARD,
    SAFETY,
    SIM,
    TELEOP,
    NodeProcess,
)
from lrm_core.errors import BadInput
from lrm_core.params import from_mapping
from lrm_core.resources import config_path

CLASSES: Mapping[NodeProcess, str] = {
    SIM: "lrm_sim.params:SimParams",
    GAZEBO: "lrm_sim.params:GazeboParams",
    DRIVER: "lrm_robot_driver.params:DriverParams",
    TELEOP: "lrm_robot_driver.params:TeleopParams",
    SAFETY: "lrm_policy_node.safety.params:SafetyParams",
    REWARD: "lrm_reward_node.params:RewardParams",
    LEARNER: "lrm_policy_node.learner.params:LearnerParams",
    POLICY: "lrm_policy_node.runtime.params:PolicyParams",
    RECORDER: "lrm_bringup.recorder.params:RecorderParams",
    PLAYER: "lrm_bringup.player.params:PlayerParams",
}
"""Node -> ``module:class`` of its parameter dataclass."""


def params_class(node: NodeProcess) -> type[Any]:
    """The parameter dataclass of a node."""
    module, _, name = CLASSES[node].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def file_values(path: Path, node: str = "") -> dict[str, Any]:
    """The parameters that a ROS parameter file gives to every node, and to ``node`` in any namespace; later ones win.

    Raises:
        BadInput: the file is no such file.
    """
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        given = [sections[name]["ros__parameters"] for name in sections if name.split("/")[-1] in ("**", "*", node)]
        return {name: value for values in given for name, value in (values or {}).items()}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise BadInput("parameter file", str(path), "YAML with /**: ros__parameters:", str(error)) from error


def shipped(node: NodeProcess) -> Any:
    """Parameters of a node as its shipped file sets them, checked."""
    return from_mapping(params_class(node), file_values(config_path(node.config)))


def markdown() -> str:
    """``docs/parameters.md``: one table per node."""
    sections = "\n".join(_section(node) for node in CLASSES)
    return (
        "# Parameters\n\nWritten by `lrm params --write docs/parameters.md` from the parameter classes; do not edit.\n"
        "Every node also takes `autostart` (configure and activate without a manager) and `use_sim_time`.\n"
        "Values out of range are refused at start and at run time with one clear message.\n\n" + sections
    )


def _section(node: NodeProcess) -> str:
    rows = ["| parameter | default | unit | allowed | meaning |", "|---|---|---|---|---|"]
    rows += [_row(field) for field in dataclasses.fields(params_class(node))]
    return f"## `{node.name}` ({node.executable}, `config/{node.config}`)\n\n" + "\n".join(rows) + "\n"


def _row(field: dataclasses.Field[Any]) -> str:
    default = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc, operator]
    shown = f"`{_shown(default)}`" if default != "" else "empty"
    unit, doc = field.metadata.get("unit", ""), field.metadata.get("doc", "")
    cells = (f"`{field.name}`", shown, unit, _allowed(field.metadata), doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_shown(element) for element in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _allowed(metadata: Mapping[str, Any]) -> str:
    low, high, choices = (metadata.get(key) for key in ("low", "high", "choices"))
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"≥ {low:g}"
    return f"≤ {high:g}" if high is not None else ""
