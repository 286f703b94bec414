"""The table of processes as a launch description, for machines that have ``ros2 launch``.

Launch arguments are for deployment only; behaviour stands in the parameter files. An argument left at ``auto`` keeps
the parameter file's value.
"""

from __future__ import annotations

from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription  # type: ignore[attr-defined]
from lrm_bringup.environment import DDS_PROFILE, DDS_PROFILE_VARIABLES
from lrm_bringup.graph import GRAPHS, Deployment, NodeProcess, overrides, processes
from lrm_core.errors import BadInput
from lrm_core.resources import config_path

RESPAWN_DELAY_S = 1.0
_AUTO = "auto"
_COMMON = {
    "namespace": ("", "namespace of every node, for a second robot"),
    "record": ("false", "start the recorder too"),
    "autostart": ("true", "nodes configure and activate themselves"),
    "use_sim_time": (_AUTO, "time comes from /clock; auto: in a lock-step simulation"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "params": ("", "a parameter file read after the shipped ones"),
}
_SPECIAL = {
    "sim": ("lockstep", "simulated time waits for the policy (lockstep) or follows the wall clock (realtime)"),
    "robot": (_AUTO, "robot description: a name in config/robots or a YAML file"),
    "model": (_AUTO, "reward model: a folder or a hub name"),
    "policy": (_AUTO, "base policy: a LeRobot folder or a hub name"),
}


def arguments(graph: str) -> dict[str, tuple[str, str]]:
    """Launch arguments of a graph: name -> (default, meaning)."""
    accepted = {name for node in GRAPHS[graph] for name in node.accepts}
    special = {name: text for name, text in _SPECIAL.items() if name in accepted or (name == "sim" and graph == "sim")}
    return _COMMON | special


def launch_description(graph: str) -> LaunchDescription:
    """The launch description of one graph of :data:`lrm_bringup.graph.GRAPHS`."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments(graph).items()
    ]
    profile = str(config_path(DDS_PROFILE))
    variables = [SetEnvironmentVariable(name, profile) for name in DDS_PROFILE_VARIABLES]
    return LaunchDescription([*declared, *variables, OpaqueFunction(function=_nodes, args=[graph])])


def _nodes(context: LaunchContext, graph: str) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in arguments(graph)}
    deployment = deployment_of(graph, given)
    record = _flag("record", given["record"])
    return [_node(process, deployment, given["params"]) for process in processes(graph, record)]


def deployment_of(graph: str, given: dict[str, str]) -> Deployment:
    """The deployment that launch arguments ask for; raises :class:`BadInput` for a value that makes no sense."""
    if given.get("sim", "lockstep") not in ("lockstep", "realtime"):
        raise BadInput("launch argument sim", given["sim"], "lockstep or realtime")
    lockstep = graph == "sim" and given["sim"] == "lockstep"
    sim_time = given["use_sim_time"]
    parameters: dict[str, Any] = {
        "autostart": _flag("autostart", given["autostart"]),
        "use_sim_time": lockstep if sim_time == _AUTO else _flag("use_sim_time", sim_time),
        "lockstep": lockstep,
        "camera_noise": False if graph == "sim" else None,
    }
    parameters |= {name: given[name] for name in ("robot", "model", "policy") if given.get(name, _AUTO) != _AUTO}
    return Deployment(given["namespace"], given["log_level"], parameters)


def _node(process: NodeProcess, deployment: Deployment, params: str) -> Node:
    files = [str(config_path(process.config)), *([params] if params else [])]
    return Node(
        package=process.package,
        executable=process.executable,
        namespace=deployment.namespace,
        parameters=[*files, overrides(process, deployment)],
        arguments=["--ros-args", "--log-level", deployment.log_level],
        output="screen",
        respawn=True,
        respawn_delay=RESPAWN_DELAY_S,
    )


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadInput(f"launch argument {name}", value, "true or false")
    return value.lower() == "true"
