"""The one table of processes: ``lrm up``, ``lrm demo`` and the launch files start what stands here.

Imports only the standard library, so that a launch file can import it on any ROS machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class NodeProcess:
    """One node in a process of its own.

    Attributes:
        name: ROS node name.
        package: ROS package with the console script ``executable``.
        executable: console script.
        module: the same program for ``python -m``.
        config: parameter file in ``config/``.
        accepts: deployment arguments that are parameters of this node.
        enclave: name of its enclave where that is not ``name``.
    """

    name: str
    package: str
    executable: str
    module: str
    config: str
    accepts: tuple[str, ...] = ()
    enclave: str = ""


SIM = NodeProcess("sim", "lrm_sim", "lrm_sim_node", "lrm_sim.ros.node", "sim.yaml", ("lockstep",))
GAZEBO = NodeProcess("sim", "lrm_sim", "lrm_gazebo_node", "lrm_sim.ros.gazebo_node", "gazebo.yaml", enclave="gazebo")
"""Stands where ``SIM`` stands, in front of Gazebo; the launch files start Gazebo's own processes beside it."""
DRIVER = NodeProcess(
    "driver", "lrm_robot_driver", "lrm_robot_driver", "lrm_robot_driver.ros.node", "driver.yaml", ("robot",)
)
"""Stands before a robot's graph where LeRobot drives the arm."""
TELEOP = NodeProcess(
    "teleop", "lrm_robot_driver", "lrm_teleop", "lrm_robot_driver.ros.teleop_node", "teleop.yaml", ("robot",)
)
"""A person's leader, which LeRobot reads; where the robot's file has one."""
SAFETY = NodeProcess(
    "safety", "lrm_policy_node", "lrm_safety_node", "lrm_policy_node.safety.ros.node", "safety.yaml",
    ("lockstep", "robot"),
)  # fmt: skip
REWARD = NodeProcess(
    "reward", "lrm_reward_node", "lrm_reward_node", "lrm_reward_node.ros.node", "reward.yaml",
    ("lockstep", "robot", "model", "adapters", "cameras", "camera_noise"),
)  # fmt: skip
LEARNER = NodeProcess(
    "learner", "lrm_policy_node", "lrm_learner", "lrm_policy_node.learner.ros.node", "learner.yaml", ("robot",)
)
POLICY = NodeProcess(
    "policy", "lrm_policy_node", "lrm_policy_node", "lrm_policy_node.ros.node", "policy.yaml",
    ("lockstep", "robot", "policy"),
)  # fmt: skip
RECORDER = NodeProcess(
    "recorder", "lrm_bringup", "lrm_recorder", "lrm_bringup.recorder.ros.node", "recorder.yaml", ("robot",)
)
PLAYER = NodeProcess(
    "player", "lrm_bringup", "lrm_player", "lrm_bringup.player.ros.node", "player.yaml", ("bag", "rate")
)

GRAPHS: dict[str, tuple[NodeProcess, ...]] = {
    # In starting order; stopping is the reverse: the policy lets go first, the recorder sees all.
    "sim": (SIM, SAFETY, REWARD, LEARNER, POLICY),
    "robot": (DRIVER, SAFETY, REWARD, LEARNER, POLICY),
    "teleop": (DRIVER, SAFETY, TELEOP),
    "reward": (REWARD,),
    "record": (RECORDER,),
    "replay": (REWARD, PLAYER),
}
"""Name of a launch file -> its processes."""
SIMULATORS: dict[str, tuple[NodeProcess, ...]] = {"mujoco": (SIM,), "gazebo": (GAZEBO,)}
"""Name of a simulator -> the processes that stand in the place of ``SIM``."""


def processes(
    graph: str, record: bool = False, simulator: str = "mujoco", driver: bool = True, leader: bool = True
) -> tuple[NodeProcess, ...]:
    """The processes of ``graph``, with the recorder in front when ``record`` is wanted and it is not in already.

    Args:
        driver: LeRobot drives the arm; else the robot has a driver of its own, and ours is left out.
        leader: LeRobot reads what a person moves the arm by; else somebody else proposes commands.
    """
    nodes = [one for node in GRAPHS[graph] for one in (SIMULATORS[simulator] if node is SIM else (node,))]
    nodes = [node for node in nodes if (driver or node is not DRIVER) and (leader or node is not TELEOP)]
    return (RECORDER, *nodes) if record and RECORDER not in nodes else tuple(nodes)


@dataclass(frozen=True)
class Deployment:
    """What differs between machines, and nothing else. Everything else stands in the parameter files.

    Attributes:
        namespace: namespace of every node; empty: none.
        log_level: debug, info, warn, error or fatal.
        parameters: ``autostart`` and ``use_sim_time`` for every node, others for the nodes that accept them; None keeps
            the parameter file's value.
        own: parameters of one node, by its name; they win.
    """

    namespace: str = ""
    log_level: str = "info"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def overrides(node: NodeProcess, deployment: Deployment) -> dict[str, Any]:
    """Parameters that ``deployment`` sets on ``node``."""
    accepted = ("autostart", "use_sim_time", *node.accepts)
    given = {name: value for name, value in deployment.parameters.items() if name in accepted and value is not None}
    return given | dict(deployment.own.get(node.name, {}))


def enclave(node: NodeProcess) -> str:
    """Where the keys of a node lie in a keystore made from ``config/security/policy.xml``."""
    return f"/lrm/{node.enclave or node.name}"


def ros_arguments(
    config_files: Sequence[Path], parameters: Mapping[str, Any], deployment: Deployment, enclave: str = ""
) -> tuple[str, ...]:
    """The ``--ros-args`` of a node; later parameter files and ``parameters`` win."""
    arguments = ["--ros-args", "--log-level", deployment.log_level]
    if enclave:
        arguments += ["--enclave", enclave]
    if deployment.namespace:
        arguments += ["-r", f"__ns:=/{deployment.namespace.strip('/')}"]
    for path in config_files:
        arguments += ["--params-file", str(path)]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={yaml_value(value)}"]
    return tuple(arguments)


def yaml_value(value: Any) -> str:
    """A parameter value as YAML flow text, as ``-p name:=value`` wants it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_value(element) for element in value) + "]"
    return repr(value)
