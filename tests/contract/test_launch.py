"""Launch files, ``lrm up`` and the installed programs are one and the same table."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from lrm_bringup.graph import GRAPHS, Deployment, NodeProcess, overrides, processes, ros_arguments
from lrm_bringup.parameters import CLASSES, params_class
from lrm_bringup.start import process_specs
from lrm_core.resources import config_path

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
EVERY_NODE = [pytest.param(node, id=node.name) for node in CLASSES]


def test_there_is_a_launch_file_for_every_graph() -> None:
    assert {path.name.removesuffix(".launch.py") for path in LAUNCH_FILES} == set(GRAPHS)


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_only_names_its_graph(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls] == [f"launch_description('{path.name.removesuffix('.launch.py')}')"]


@pytest.mark.parametrize("node", EVERY_NODE)
def test_every_executable_is_a_console_script_of_its_package_for_the_same_module(node: NodeProcess) -> None:
    setup = (ROOT / "src" / node.package / "setup.py").read_text()
    scripts = dict(re.findall(r'"(\w+) = ([\w.]+):main"', setup))
    assert scripts[node.executable] == node.module
    assert importlib.util.find_spec(node.module) is not None


@pytest.mark.parametrize("node", EVERY_NODE)
def test_every_parameter_file_exists_and_arguments_are_parameters(node: NodeProcess) -> None:
    assert config_path(node.config).is_file()
    assert set(node.accepts) <= set(params_class(node).__dataclass_fields__)


def test_a_recorder_is_added_once() -> None:
    assert [node.name for node in processes("record", record=True)] == ["recorder"]
    assert [node.name for node in processes("reward", record=True)] == ["recorder", "reward"]


def test_commands_carry_parameter_files_before_the_deployment(tmp_path: Path) -> None:
    extra = tmp_path / "mine.yaml"
    extra.touch()
    deployment = Deployment("left", "debug", {"autostart": True, "lockstep": False, "model": None})
    (spec,) = process_specs(processes("reward"), deployment, tmp_path, {}, [extra])
    words = list(spec.command)
    files = [words[i + 1] for i, word in enumerate(words) if word == "--params-file"]
    assert files == [str(config_path("reward.yaml")), str(extra)]
    assert words[words.index("-r") + 1] == "__ns:=/left"
    assert [words[i + 1] for i, word in enumerate(words) if word == "-p"] == ["autostart:=true", "lockstep:=false"]
    assert words.index("-p") > max(i for i, word in enumerate(words) if word == "--params-file")


@pytest.mark.parametrize(
    "value", ["put the red cube in the bowl", "it's: {odd} # text", "true", "1.5", "", 3, 0.5, False, ["a b", "c"]]
)
def test_parameter_values_come_through_yaml_as_they_are(value: Any) -> None:
    import yaml

    word = ros_arguments([], {"name": value}, Deployment())[-1]
    assert yaml.safe_load(word.removeprefix("name:=")) == value


def test_the_launch_descriptions_start_what_lrm_up_starts() -> None:
    launch = pytest.importorskip("launch", reason="launch is not installed here: no wheel of it exists")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed here: no wheel of it exists")
    from launch_ros.actions import Node

    from lrm_bringup.ros_launch import deployment_of, launch_description

    for graph in GRAPHS:
        context = launch.LaunchContext()
        description = launch_description(graph)
        given = {}
        for entity in description.entities:
            if isinstance(entity, launch.actions.DeclareLaunchArgument):
                entity.execute(context)
                given[entity.name] = context.launch_configurations[entity.name]
        (function,) = [e for e in description.entities if isinstance(e, launch.actions.OpaqueFunction)]
        nodes = [node for node in function.execute(context) if isinstance(node, Node)]
        wanted = processes(graph)
        assert [(node.node_package, node.node_executable) for node in nodes] == [
            (node.package, node.executable) for node in wanted
        ]
        deployment = deployment_of(graph, given)
        assert all(overrides(node, deployment)["autostart"] is True for node in wanted)
