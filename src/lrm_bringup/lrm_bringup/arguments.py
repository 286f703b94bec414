"""The one table of launch arguments: the launch files declare them, ``lrm up`` offers them as options.

Arguments are for deployment; behaviour stands in the parameter files. An argument left at ``auto`` keeps the parameter
file's value. Imports only the standard library and the table of processes, so that a launch file can read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrm_bringup.graph import (
    DRIVER,
    GAZEBO,
    GRAPHS,
    PLAYER,
    POLICY,
    REWARD,
    SIM,
    SIMULATORS,
    TELEOP,
    Deployment,
    NodeProcess,
    processes,
)
from lrm_core.errors import BadInput

AUTO = "auto"
_FLAG = ("true", "false")


@dataclass(frozen=True)
class Argument:
    """One launch argument, as text in and out.

    Attributes:
        name: as in ``ros2 launch … name:=value`` and ``lrm up … --name value``.
        default: its value when nothing is said.
        meaning: one line for ``--show-args`` and ``--help``.
        choices: legal values; empty: any.
        graphs: where it means something; empty: everywhere.
    """

    name: str
    default: str
    meaning: str
    choices: tuple[str, ...] = ()
    graphs: tuple[str, ...] = ()

    @property
    def flag(self) -> bool:
        """True for an argument that is true or false, or decided by itself."""
        return set(_FLAG) <= set(self.choices)


_SCORED, _DRIVEN = ("sim", "robot", "reward", "replay"), ("sim", "robot")
ARGUMENTS = (
    Argument("task", AUTO, "task sentence that is run and scored", (), _SCORED),
    Argument(
        "robot", AUTO,
        "robot description, for every node: a name in config/robots or a YAML file; auto: what params say", (),
        (*_DRIVEN, "teleop", "reward", "record"),
    ),
    Argument(
        "driver", AUTO, "start LeRobot's driver; auto: where robot, here or in params, has a section lerobot",
        (AUTO, *_FLAG), ("robot", "teleop"),
    ),
    Argument(
        "leader", AUTO, "start the teleoperation by LeRobot's leader; auto: where robot has a section leader",
        (AUTO, *_FLAG), ("teleop",),
    ),
    Argument("model", AUTO, "reward model: a folder or a hub name", (), _SCORED),
    Argument("adapters", AUTO, "folder or hub name with contrastive, progress and completion", (), _SCORED),
    Argument("policy", AUTO, "base policy: a LeRobot folder or a hub name", (), _DRIVEN),
    Argument("cameras", AUTO, "cameras that are scored, separated by commas: front,wrist", (), _SCORED),
    Argument(
        "camera_noise", AUTO, "cameras have noise, so that equal frames are frozen; auto: not in sim",
        (AUTO, *_FLAG), _SCORED,
    ),
    Argument("sim", "mujoco", "simulator", tuple(SIMULATORS), ("sim",)),
    Argument(
        "time", "lockstep",
        "MuJoCo's time waits for the policy (lockstep), or follows the wall clock (realtime); Gazebo has its own",
        ("lockstep", "realtime"), ("sim",),
    ),
    Argument("bag", "", "recorded run to play: a bag's folder, or one .mcap or .db3 file", (), ("replay",)),
    Argument("rate", "1.0", "speed of the played bag; 0.5: half as fast", (), ("replay",)),
    Argument("record", "false", "start the recorder too", _FLAG),
    Argument("namespace", "", "namespace of every node, for a second robot"),
    Argument("use_sim_time", AUTO, "time comes from /clock; auto: in lock-step, Gazebo and a replay", (AUTO, *_FLAG)),
    Argument("autostart", "true", "nodes configure and activate themselves", _FLAG),
    Argument("respawn", "true", "a node that dies is started again", _FLAG),
    Argument(
        "discovery_range", AUTO,
        "who hears the nodes: this machine (localhost) or its network (subnet); "
        "auto: ROS_AUTOMATIC_DISCOVERY_RANGE, else localhost",
        (AUTO, "localhost", "subnet"),
    ),
    Argument("log_level", "info", "how much the nodes say", ("debug", "info", "warn", "error", "fatal")),
    Argument("params", "", "parameter files read after the shipped ones, separated by commas"),
)  # fmt: skip
"""All arguments. Every launch file takes every one of them, and refuses a value that it has no use for."""
_FROM_ROBOT = ("robot", "model", "adapters", "policy")


@dataclass(frozen=True)
class Plan:
    """What to start, and how.

    Attributes:
        nodes: processes in starting order.
        deployment: namespace, log level and parameters.
        files: parameter files read after the shipped ones.
        respawn: start a node that dies again.
        discovery_range: ``localhost``, ``subnet`` or ``auto``.
    """

    nodes: tuple[NodeProcess, ...]
    deployment: Deployment
    files: tuple[Path, ...]
    respawn: bool
    discovery_range: str


def plan(graph: str, given: Mapping[str, str]) -> Plan:
    """The plan of a graph of :data:`lrm_bringup.graph.GRAPHS`; what ``given`` leaves out has its default.

    Raises:
        BadInput: an argument is unknown, of no use for this graph, or has a value that makes no sense.
    """
    values = {argument.name: given.get(argument.name, argument.default) for argument in ARGUMENTS}
    for name in sorted(set(given) - set(values)):
        raise BadInput(f"argument {name}", given[name], f"one of the arguments {sorted(values)}")
    for argument in ARGUMENTS:
        _check(argument, values[argument.name], graph)
    if graph == "replay" and not values["bag"]:
        raise BadInput("argument bag", "", "a recorded run", "For example: lrm up replay out/bags/NAME.")
    files = tuple(Path(name).expanduser() for name in values["params"].split(",") if name)
    for path in files:
        if not path.is_file():
            raise BadInput("argument params", str(path), "an existing parameter file")
    driver, leader = (_has(*one, graph, values, files) for one in ((DRIVER, "driver"), (TELEOP, "leader")))
    nodes = processes(graph, values["record"] == "true", values["sim"], driver, leader)
    deployment = Deployment(values["namespace"], values["log_level"], _parameters(graph, values), _own(graph, values))
    return Plan(nodes, deployment, files, values["respawn"] == "true", values["discovery_range"])


def _check(argument: Argument, value: str, graph: str) -> None:
    if argument.choices and value not in argument.choices:
        raise BadInput(f"argument {argument.name}", value, f"one of {list(argument.choices)}")
    if argument.graphs and graph not in argument.graphs and value != argument.default:
        where = " and ".join(argument.graphs)
        raise BadInput(f"argument {argument.name}", value, f"nothing: {graph} has no use for it, {where} has")


def _parameters(graph: str, values: Mapping[str, str]) -> dict[str, Any]:
    gazebo = graph == "sim" and GAZEBO in SIMULATORS[values["sim"]]
    lockstep = graph == "sim" and not gazebo and values["time"] == "lockstep"
    parameters: dict[str, Any] = {
        "autostart": values["autostart"] == "true",
        "use_sim_time": _decided(values["use_sim_time"], lockstep or gazebo or graph == "replay"),
        "lockstep": lockstep,
        "camera_noise": _decided(values["camera_noise"], False if graph == "sim" else None),
    }
    parameters |= {name: values[name] for name in _FROM_ROBOT if values[name] != AUTO}
    if values["cameras"] != AUTO:
        parameters["cameras"] = [name.strip() for name in values["cameras"].split(",")]
    if graph == "replay":
        parameters |= {"bag": values["bag"], "rate": _number("rate", values["rate"])}
    return parameters


def _own(graph: str, values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The task goes to who decides what runs, which is the reward node only where no policy does."""
    own: dict[str, dict[str, Any]] = {}
    if values["task"] != AUTO:
        deciding = [node for node in GRAPHS[graph] if node in (SIM, POLICY)] or [REWARD]
        own = {node.name: {"task": values["task"]} for node in deciding}
    if PLAYER in GRAPHS[graph]:  # the memory of a live run would have it go on in the middle of a recorded episode
        own.setdefault(REWARD.name, {})["state_dir"] = ""
    return own


def _has(node: NodeProcess, argument: str, graph: str, values: Mapping[str, str], files: Sequence[Path]) -> bool:
    """Whether ``node`` is part of the graph; where ``argument`` leaves it open: if the robot's file has its section.

    The argument ``robot`` wins over parameter files, as it does in the nodes.
    """
    if node not in GRAPHS[graph]:
        return False
    if values[argument] != AUTO:
        return values[argument] == "true"
    robot = values["robot"] if values["robot"] != AUTO else _robot_of(files, node)
    if robot == AUTO:
        return False
    from lrm_core.robot import load_robot  # more than the standard library: only where a robot is named

    contract = load_robot(robot)
    return (contract.lerobot if node is DRIVER else contract.leader) is not None


def _robot_of(files: Sequence[Path], node: NodeProcess) -> str:
    """The robot that the last of the parameter files names for ``node``."""
    from lrm_bringup.parameters import file_values  # as above: only where there is a file

    named = [file_values(path, node.name).get("robot", AUTO) for path in files]
    return next((str(robot) for robot in reversed(named) if robot != AUTO), AUTO)


def _decided(value: str, auto: bool | None) -> bool | None:
    return auto if value == AUTO else value == "true"


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise BadInput(f"argument {name}", value, "a number") from error
