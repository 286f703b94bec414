"""Gazebo's own processes as launch actions: the simulator, its bridge, the arm's description and controllers.

They live in the namespace ``/gazebo`` whatever the namespace of the robot is; ``lrm_gazebo_node`` stands between.
"""

from __future__ import annotations

import os
from typing import Any

from launch.actions import ExecuteProcess, Shutdown
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from lrm_core.resources import config_path, share_dir
from lrm_sim.gazebo import wiring

WORLD = "pick_place"
ENCLAVE = "/lrm/gazebo_world"
"""Of all these processes, in ``config/security/policy.xml``."""
FOLDER = "gazebo"


def gazebo_actions(namespace: str, log_level: str) -> list[Any]:
    """Start Gazebo without a window, and all that connects it. When Gazebo ends, everything ends.

    Args:
        namespace: namespace of the robot; it is the prefix of the frames.
        log_level: of the ROS nodes among them.
    """
    arguments = ["--ros-args", "--log-level", log_level, "--enclave", ENCLAVE]
    controllers = str(config_path(f"{FOLDER}/controllers.yaml"))
    return [
        _simulator(),
        Node(
            package="ros_gz_bridge",
            executable="parameter_bridge",
            namespace=wiring.NAMESPACE,
            arguments=[f"{wiring.set_pose_service(WORLD)}@ros_gz_interfaces/srv/SetEntityPose", *arguments],
            parameters=[{"config_file": str(config_path(f"{FOLDER}/bridge.yaml")), **wiring.BRIDGE_QOS}],
            output="screen",
        ),
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            namespace=wiring.NAMESPACE,
            arguments=arguments,
            parameters=[description(namespace)],
            output="screen",
        ),
        Node(
            package="controller_manager",
            executable="spawner",
            namespace=wiring.NAMESPACE,
            arguments=[
                *(wiring.STATE_BROADCASTER, wiring.ARM_CONTROLLER),
                *("--controller-manager", f"{wiring.NAMESPACE}/controller_manager"),
                *("--param-file", controllers),
                *arguments,
            ],
            output="screen",
        ),
    ]


def _simulator() -> ExecuteProcess:
    # Without a display; `gz sim -g` beside it opens a window. The world names its controllers relative to this folder.
    folders = [os.environ.get(name, "") for name in ("GZ_SIM_SYSTEM_PLUGIN_PATH", "LD_LIBRARY_PATH")]
    return ExecuteProcess(
        cmd=["gz", "sim", "-r", "-s", "--headless-rendering", str(config_path(f"{FOLDER}/{WORLD}.sdf"))],
        cwd=str(share_dir()),
        # Where gz_ros2_control's library is, as ros_gz_sim/launch/gz_sim.launch.py has it.
        additional_env={
            "GZ_SIM_SYSTEM_PLUGIN_PATH": os.pathsep.join(filter(None, folders)),
            "ROS_SECURITY_ENCLAVE_OVERRIDE": ENCLAVE,  # its controllers are nodes, and gz takes no --ros-args
        },
        name="gazebo",
        output="screen",
        on_exit=Shutdown(),
    )


def description(namespace: str) -> dict[str, Any]:
    """Parameters of robot_state_publisher for a robot in ``namespace``."""
    prefix = f"{namespace.strip('/')}/" if namespace.strip("/") else ""
    text = config_path(f"{FOLDER}/arm.urdf").read_text(encoding="utf-8")
    # Typed as text, since launch_ros would read it as YAML, and an empty prefix as nothing.
    texts = {"robot_description": text, "frame_prefix": prefix}
    return {name: ParameterValue(value, value_type=str) for name, value in texts.items()} | {"use_sim_time": True}
