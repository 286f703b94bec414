"""The table of processes as a launch description, for machines that have ``ros2 launch``."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription  # type: ignore[attr-defined]
from lrm_bringup.arguments import ARGUMENTS, Plan, plan
from lrm_bringup.environment import machine_environment, network_environment
from lrm_bringup.graph import GAZEBO, NodeProcess, enclave, overrides
from lrm_bringup.processes import RestartPolicy
from lrm_core.resources import config_path

RESPAWN_DELAY_S = 1.0
"""Always the same: launch knows no growing delay, and no exit code after which starting again is of no use."""


def launch_description(graph: str) -> LaunchDescription:
    """The launch description of one graph of :data:`lrm_bringup.graph.GRAPHS`."""
    declared = [
        DeclareLaunchArgument(
            one.name, default_value=one.default, description=one.meaning, choices=list(one.choices) or None
        )
        for one in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_actions, args=[graph])])


def _actions(context: LaunchContext, graph: str) -> list[Action]:
    given = {one.name: LaunchConfiguration(one.name).perform(context) for one in ARGUMENTS}
    wanted = plan(graph, given)
    here = context.environment
    variables = machine_environment(here) | network_environment(wanted.discovery_range, here)
    return [
        *(SetEnvironmentVariable(name, value) for name, value in variables.items()),
        *(_gazebo(wanted) if GAZEBO in wanted.nodes else ()),
        *(_node(process, wanted) for process in wanted.nodes),
    ]


def _gazebo(wanted: Plan) -> list[Action]:
    from lrm_bringup.gazebo_launch import gazebo_actions  # reads the simulated scene, which others have no use for

    return gazebo_actions(wanted.deployment.namespace, wanted.deployment.log_level)


def _node(process: NodeProcess, wanted: Plan) -> Node:
    return Node(
        package=process.package,
        executable=process.executable,
        namespace=wanted.deployment.namespace,
        parameters=[str(config_path(process.config)), *map(str, wanted.files), overrides(process, wanted.deployment)],
        arguments=["--ros-args", "--log-level", wanted.deployment.log_level, "--enclave", enclave(process)],
        output="screen",
        respawn=wanted.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        respawn_max_retries=RestartPolicy().limit,
    )
