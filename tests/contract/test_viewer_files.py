"""The layouts for Foxglove and rviz point at topics and fields that the graph has, in options that the tools know."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import foxglove.layouts as fl
import pytest

from lrm_bringup.recorder.definitions import MessageDefinitions
from lrm_core.robot import load_robot
from source_tree import ROOT
from viewer_files import fault, foxglove, foxglove_paths, rviz, rviz_topics

_BRACES = re.compile(r"\{([\w,]+)\}")
KNOWN = {
    "Plot": fl.PlotConfig(),
    "Image": fl.ImageConfig(),
    "StateTransitions": fl.StateTransitionsConfig(),
    "RawMessages": fl.RawMessagesConfig(),
    "DiagnosticSummary": fl.DiagnosticsSummaryConfig(),
}
"""Panels by the name that a layout file gives them, as the tool's own library knows them."""


def documented() -> dict[str, str]:
    """Topic -> type, from the table of docs/architecture.md."""
    types = {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and (found := re.fullmatch(r"(\w+_msgs)/(\w+)", cells[2])):
            for name in re.findall(r"`([\w/{},]+)`", cells[1]):
                types |= {f"/{one.strip('/')}": f"{found[1]}/msg/{found[2]}" for one in _expanded(name)}
    return types


def _expanded(name: str) -> list[str]:
    """``a/{b,c}`` as ``a/b`` and ``a/c``."""
    parts = _BRACES.split(name)
    options = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*options)]


def test_the_table_of_topics_is_read() -> None:
    types = documented()
    assert types["/reward/fused"] == "lrm_msgs/msg/Reward"
    assert types["/front/camera_info"] == "sensor_msgs/msg/CameraInfo"


def test_every_path_of_the_layouts_leads_to_a_value_of_the_graph() -> None:
    definitions, types = MessageDefinitions(), documented()
    paths = foxglove_paths() | rviz_topics()
    assert {path.partition(".")[0] for path in paths} >= {"/reward/progress", "/command", "/joint_states", "/audit"}
    assert [why for path in sorted(paths) if (why := fault(path, types, definitions))] == []


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/rewards/progress.value", "no topic /rewards/progress"),
        ("/reward/progress.score", "has no field score"),
        ("/command.points.positions[0]", "points of trajectory_msgs/msg/JointTrajectory is an array"),
        ("/reward/progress.value[0]", "is no array"),
        ("/reward/progress.value.mean", "value has no fields"),
    ],
)
def test_a_path_that_leads_nowhere_is_found(path: str, why: str) -> None:
    assert why in fault(path, documented(), MessageDefinitions())


@pytest.mark.parametrize("panel", sorted(foxglove()["configById"]))
def test_every_option_of_a_panel_is_known_to_foxglove(panel: str) -> None:
    config = dict(foxglove()["configById"][panel])
    assert config.pop("foxglovePanelTitle", "")
    assert unknown(config, KNOWN[panel.partition("!")[0]]) == []


def unknown(config: dict[str, Any], known: Any) -> list[str]:
    """Options that the library's class has no field for."""
    parts = {"imageMode": fl.ImageModeConfig(), "paths": fl.PlotSeries()}
    if isinstance(known, fl.StateTransitionsConfig):
        parts["paths"] = fl.StateTransitionsSeries(value="")
    found = [key for key in config if key not in known._to_dict()]
    for key, part in parts.items():
        inner = config.get(key, [])
        for one in [inner] if isinstance(inner, dict) else inner:
            found += [f"{key}.{name}" for name in one if name not in part._to_dict()]
    return found


def test_every_panel_is_shown_once() -> None:
    assert sorted(_panels(foxglove()["layout"])) == sorted(foxglove()["configById"])


def _panels(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        yield from (*_panels(node["first"]), *_panels(node["second"]))


def test_joints_are_plotted_in_the_order_of_the_robot() -> None:
    joints = load_robot("sim_arm").joint_names
    plots = foxglove()["configById"]
    for index, joint in enumerate(joints):
        values = {series["value"] for series in plots[f"Plot!{joint}"]["paths"]}
        assert values == {
            f"/command.points[0].positions[{index}]",
            f"/proposed_command.points[0].positions[{index}]",
            f"/joint_states.position[{index}]",
        }


def test_the_documented_command_moves_the_layout_into_a_namespace(tmp_path: Path) -> None:
    (command,) = re.findall(r"`(sed [^`]*) > left.json`", (ROOT / "docs" / "viewing.md").read_text())
    moved = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    values = set(re.findall(r'"(/[^"]*)"', moved))
    assert values == {path if path == "/diagnostics" else f"/left{path}" for path in foxglove_paths()}
    json.loads(moved)


def test_the_cameras_of_rviz_take_what_a_camera_offers() -> None:
    for display in rviz()["Visualization Manager"]["Displays"]:
        assert display["Topic"]["Reliability Policy"] == "Best Effort", "a reliable reader hears no best-effort camera"
