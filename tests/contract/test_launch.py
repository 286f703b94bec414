"""Launch files, ``lrm up`` and the installed programs are one and the same table."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import pytest

from lrm_bringup.arguments import ARGUMENTS, plan
from lrm_bringup.environment import machine_environment
from lrm_bringup.graph import GRAPHS, Deployment, NodeProcess, overrides, processes, ros_arguments
from lrm_bringup.parameters import CLASSES, params_class
from lrm_bringup.processes import RestartPolicy
from lrm_bringup.start import process_specs
from lrm_core.errors import BadInput
from lrm_core.resources import config_path
from lrm_core.robot import load_robot, robot_names

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


BAG = {"replay": {"bag": "some/bag"}}
"""What a graph cannot do without."""


def test_an_argument_reaches_the_nodes_that_take_it() -> None:
    wanted = plan("robot", {"model": "mine", "cameras": "front, wrist", "robot": "so101", "policy": "act"})
    given = {node.name: overrides(node, wanted.deployment) for node in wanted.nodes}
    assert given["reward"]["cameras"] == ["front", "wrist"]
    assert given["reward"]["model"] == "mine"
    assert [name for name, values in given.items() if values.get("robot") == "so101"] == [
        "driver",
        "safety",
        "reward",
        "learner",
        "policy",
    ]
    assert [name for name, values in given.items() if values.get("policy") == "act"] == ["policy"]
    assert all(values["autostart"] is True and values["use_sim_time"] is False for values in given.values())


@pytest.mark.parametrize(
    ("given", "nodes"),
    [
        ({"robot": "so101"}, ["driver", "safety", "teleop"]),
        ({"robot": "so101", "record": "true"}, ["recorder", "driver", "safety", "teleop"]),
        ({"robot": "so101", "leader": "false"}, ["driver", "safety"]),
        ({"robot": "ur5e"}, ["safety"]),
        ({"robot": "ur5e", "leader": "true"}, ["safety", "teleop"]),
    ],
)
def test_teleoperation_starts_what_the_file_of_the_robot_says(given: dict[str, str], nodes: list[str]) -> None:
    wanted = plan("teleop", given)
    assert [node.name for node in wanted.nodes] == nodes
    assert all(overrides(node, wanted.deployment)["robot"] == given["robot"] for node in wanted.nodes)


@pytest.mark.parametrize("robot", robot_names())
@pytest.mark.parametrize("graph", ["sim", "robot"])
def test_every_node_that_meets_the_robot_gets_its_file(graph: str, robot: str, tmp_path: Path) -> None:
    wanted = plan(graph, {"robot": robot, "record": "true", "namespace": "left"})
    specs = process_specs(wanted.nodes, wanted.deployment, tmp_path, {}, wanted.files)
    told = {spec.name for spec in specs if f"robot:='{robot}'" in spec.command}
    driver = {"driver"} if graph == "robot" and load_robot(robot).lerobot else set()
    assert told == {"safety", "reward", "learner", "policy", "recorder"} | driver


@pytest.mark.parametrize(
    ("given", "driven"),
    [
        ({}, False),
        ({"robot": "so101"}, True),
        ({"robot": "ur5e"}, False),
        ({"robot": "so101", "driver": "false"}, False),
        ({"driver": "true"}, True),
    ],
)
def test_the_driver_is_started_where_lerobot_drives_the_arm(given: dict[str, str], driven: bool) -> None:
    names = [node.name for node in plan("robot", given).nodes]
    assert names == (["driver"] if driven else []) + ["safety", "reward", "learner", "policy"]


@pytest.mark.parametrize(
    ("texts", "given", "driven"),
    [
        (["/**:\n  ros__parameters: {robot: so101}"], {}, True),
        (["/left/driver:\n  ros__parameters: {robot: so101}"], {}, True),
        (["/**:\n  ros__parameters: {robot: so101}"], {"robot": "ur5e"}, False),
        (["/**:\n  ros__parameters: {robot: so101}"], {"driver": "false"}, False),
        (["/**:\n  ros__parameters: {robot: so101}", "/**:\n  ros__parameters: {robot: ur5e}"], {}, False),
        (["/**:\n  ros__parameters: {robot: so101}", "# nothing"], {}, True),
        (["policy:\n  ros__parameters: {robot: so101}"], {}, False),
    ],
)
def test_a_robot_in_a_parameter_file_brings_its_driver_unless_an_argument_says_otherwise(
    texts: list[str], given: dict[str, str], driven: bool, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    nodes = plan("robot", given | {"params": ",".join(map(str, paths))}).nodes
    assert (nodes[0].name == "driver") == driven


def test_a_parameter_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("robot: so101\n/**: {robot: so101}")
    with pytest.raises(BadInput, match=r"parameter file is .*mine\.yaml"):
        plan("robot", {"params": str(path)})


@pytest.mark.parametrize(
    ("graph", "told"),
    [("sim", {"sim", "policy"}), ("robot", {"policy"}), ("reward", {"reward"}), ("replay", {"reward"})],
)
def test_the_task_goes_to_who_decides_what_runs(graph: str, told: set[str]) -> None:
    wanted = plan(graph, {"task": "stack the cubes", **BAG.get(graph, {})})
    values = {node.name: overrides(node, wanted.deployment).get("task") for node in wanted.nodes}
    assert {name for name, task in values.items() if task == "stack the cubes"} == told


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_argument_becomes_a_parameter_that_its_node_has(graph: str) -> None:
    given = {"task": "t", "cameras": "front", "camera_noise": "true", "model": "m", "adapters": "a"}
    wanted = plan(graph, (given if graph not in ("record", "teleop") else {}) | BAG.get(graph, {}))
    for node in wanted.nodes:
        names = set(overrides(node, wanted.deployment)) - {"autostart", "use_sim_time"}
        assert names <= set(params_class(node).__dataclass_fields__)


@pytest.mark.parametrize(("time", "lockstep"), [("lockstep", True), ("realtime", False)])
def test_only_a_simulation_in_lock_step_waits(time: str, lockstep: bool) -> None:
    parameters = plan("sim", {"time": time}).deployment.parameters
    assert (parameters["lockstep"], parameters["use_sim_time"]) == (lockstep, lockstep)


def test_gazebo_takes_the_place_of_mujoco_and_keeps_its_own_time() -> None:
    wanted, usual = plan("sim", {"sim": "gazebo", "task": "t"}), plan("sim", {"task": "t"})
    assert wanted.nodes[0].executable == "lrm_gazebo_node"
    assert wanted.nodes[1:] == usual.nodes[1:]
    assert (wanted.deployment.parameters["lockstep"], wanted.deployment.parameters["use_sim_time"]) == (False, True)
    assert overrides(wanted.nodes[0], wanted.deployment)["task"] == "t"


def test_lrm_up_does_not_start_gazebo_and_names_what_does(capsys: pytest.CaptureFixture[str]) -> None:
    from lrm_bringup.cli import main

    assert main(["up", "sim", "--sim", "gazebo"]) == 2
    assert "ros2 launch lrm_bringup sim.launch.py sim:=gazebo" in capsys.readouterr().err


def test_the_launch_file_starts_gazebo_bridge_description_and_controllers() -> None:
    pytest.importorskip("launch.actions", reason="launch is not installed here: no wheel of it exists")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed here: no wheel of it exists")
    from launch.actions import DeclareLaunchArgument, ExecuteProcess
    from launch_ros.actions import Node

    from launch import LaunchContext
    from lrm_bringup.ros_launch import launch_description

    context = LaunchContext()
    context.launch_configurations.update({"sim": "gazebo", "namespace": "left"})
    *declared, function = launch_description("sim").entities
    for entity in declared:
        assert isinstance(entity, DeclareLaunchArgument)
        entity.execute(context)
    actions = function.execute(context)
    nodes = [action for action in actions if isinstance(action, Node)]
    assert [(one.node_package, one.node_executable) for one in nodes][:4] == [
        ("ros_gz_bridge", "parameter_bridge"),
        ("robot_state_publisher", "robot_state_publisher"),
        ("controller_manager", "spawner"),
        ("lrm_sim", "lrm_gazebo_node"),
    ]
    (gazebo,) = [one for one in actions if isinstance(one, ExecuteProcess) and not isinstance(one, Node)]
    words = [context.perform_substitution(word[0]) for word in gazebo.cmd]
    assert words[:3] == ["gz", "sim", "-r"] and Path(words[-1]).is_file()
    folder = Path(context.perform_substitution(gazebo.cwd[0]))
    assert (folder / "config/gazebo/controllers.yaml").is_file()  # as the world names it


@pytest.mark.parametrize(("namespace", "prefix"), [("", ""), ("/left/", "left/")])
def test_the_description_reaches_robot_state_publisher_as_text(namespace: str, prefix: str) -> None:
    pytest.importorskip("launch.actions", reason="launch is not installed here: no wheel of it exists")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed here: no wheel of it exists")
    from launch_ros.utilities import evaluate_parameters, normalize_parameters

    from launch import LaunchContext
    from lrm_bringup.gazebo_launch import description

    (values,) = evaluate_parameters(LaunchContext(), normalize_parameters([description(namespace)]))
    assert values["robot_description"] == config_path("gazebo/arm.urdf").read_text()
    assert (values["frame_prefix"], values["use_sim_time"]) == (prefix, True)


def test_a_replay_follows_the_clock_of_the_bag_and_starts_without_memory() -> None:
    wanted = plan("replay", {"bag": "some/bag", "rate": "0.5"})
    reward, player = (overrides(node, wanted.deployment) for node in wanted.nodes)
    assert (reward["use_sim_time"], reward["state_dir"]) == (True, "")
    assert (player["bag"], player["rate"]) == ("some/bag", 0.5)


@pytest.mark.parametrize(
    ("graph", "given", "named"),
    [
        ("sim", {"sim": "unreal"}, "argument sim is 'unreal': expected one of"),
        ("sim", {"time": "fast"}, "argument time is 'fast': expected one of"),
        ("sim", {"record": "yes"}, "argument record is 'yes': expected one of"),
        ("sim", {"speed": "2"}, "argument speed is '2': expected one of the arguments"),
        ("replay", {"robot": "so101"}, "replay has no use for it, sim and robot and teleop and reward and record has"),
        ("robot", {"time": "realtime"}, "robot has no use for it"),
        ("robot", {"params": "missing.yaml"}, "argument params is 'missing.yaml'"),
        ("replay", {}, "argument bag is ''"),
        ("replay", {"bag": "b", "rate": "slow"}, "argument rate is 'slow': expected a number"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(graph: str, given: dict[str, str], named: str) -> None:
    with pytest.raises(BadInput) as error:
        plan(graph, given)
    assert named in str(error.value)


def test_every_argument_is_described_and_its_default_is_legal() -> None:
    for argument in ARGUMENTS:
        assert argument.meaning
        assert not argument.choices or argument.default in argument.choices


def test_the_options_of_lrm_up_are_the_launch_arguments() -> None:
    from lrm_bringup.cli import parser
    from lrm_bringup.commands.up import given

    assert given(parser(["up"]).parse_args(["up", "sim"])) == {}
    words = ["up", "replay", "BAG", "--no-autostart", "--params", "a", "--params", "b", "--discovery-range", "subnet"]
    expected = {"bag": "BAG", "autostart": "false", "params": "a,b", "discovery_range": "subnet"}
    assert given(parser(["up"]).parse_args(words)) == expected


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_launch_description_starts_what_lrm_up_starts(graph: str) -> None:
    launch = pytest.importorskip("launch.actions", reason="launch is not installed here: no wheel of it exists")
    pytest.importorskip("launch_ros", reason="launch_ros is not installed here: no wheel of it exists")
    from launch_ros.actions import Node

    from launch import LaunchContext
    from lrm_bringup.ros_launch import launch_description

    context = LaunchContext()
    context.launch_configurations.update(BAG.get(graph, {}))
    *declared, function = launch_description(graph).entities
    for entity in declared:
        assert isinstance(entity, launch.DeclareLaunchArgument)
        entity.execute(context)
    assert [entity.name for entity in declared] == [argument.name for argument in ARGUMENTS]
    actions = function.execute(context)
    nodes = [action for action in actions if isinstance(action, Node)]
    wanted = plan(graph, BAG.get(graph, {}))
    assert [(one.node_package, one.node_executable) for one in nodes] == [
        (n.package, n.executable) for n in wanted.nodes
    ]
    for action in actions:
        if isinstance(action, launch.SetEnvironmentVariable):
            action.execute(context)
    assert context.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert machine_environment(os.environ).items() <= context.environment.items()
    (limit,) = {action._ExecuteLocal__respawn_max_retries for action in nodes}
    assert limit == RestartPolicy().limit
