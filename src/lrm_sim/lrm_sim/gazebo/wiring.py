"""What connects Gazebo with ROS 2: topics of the bridge, controllers, and the names that the node finds them under.

Gazebo's own side always lives in the namespace ``/gazebo``; only the node that stands in front of it follows the
namespace of a launch, as the simulated robot of MuJoCo does.
"""

from __future__ import annotations

from typing import Any

import yaml

from lrm_sim import tasks
from lrm_sim.gazebo.description import CONTROLLED, FINGERS, link_name
from lrm_sim.gazebo.xml import WRITTEN
from lrm_sim.scene import CAMERAS

NAMESPACE = "/gazebo"
ARM_CONTROLLER, STATE_BROADCASTER = "arm_controller", "joint_state_broadcaster"
TRAJECTORY_TOPIC = f"{NAMESPACE}/{ARM_CONTROLLER}/joint_trajectory"
JOINT_STATES_TOPIC = f"{NAMESPACE}/joint_states"
CONTROLLER_RATE_HZ = 200
POSE_RATE_HZ = 50
POSITION_GAIN = 0.25
"""Of gz_ros2_control: speed = gain x controller rate x error, so 50 per second, as quick as MuJoCo's servos."""

BRIDGE_QOS: dict[str, str | int] = {
    "qos_overrides./clock.publisher.reliability": "best_effort",
    "qos_overrides./clock.publisher.depth": 1,
}
"""Parameters of the bridge: ``/clock`` as lrm_core.ros.qos.CLOCK has it. All else keeps the bridge's own profile,
reliable with a depth of 10 (ros_gz_bridge/src/factory.hpp)."""

COMMANDED = tuple(name for name in CONTROLLED if name != FINGERS[1])
"""Joints with a command of their own; the right finger mimics the left one."""


def image_topic(camera: str) -> str:
    """ROS topic of a camera, as the bridge gives it."""
    return f"{NAMESPACE}/{camera}/image_raw"


def pose_topic(thing: str) -> str:
    """ROS topic of the place of an object, as the bridge gives it."""
    return f"{NAMESPACE}/pose/{link_name(thing)}"


def gz_pose_topic(thing: str) -> str:
    """The same topic on Gazebo's side."""
    return f"/pose/{link_name(thing)}"


def set_pose_service(world: str) -> str:
    """Service of Gazebo's user commands; the bridge gives it the same name in ROS."""
    return f"/world/{world}/set_pose"


def bridge() -> list[dict[str, Any]]:
    """Entries of the bridge file (ros_gz_bridge/src/bridge_config.cpp), all from Gazebo to ROS."""
    entries = [_entry("/clock", "/clock", "rosgraph_msgs/msg/Clock", "gz.msgs.Clock")]
    for name in CAMERAS:
        entries.append(_entry(image_topic(name), f"/{name}/image_raw", "sensor_msgs/msg/Image", "gz.msgs.Image"))
    for name in tasks.OBJECTS:
        entries.append(_entry(pose_topic(name), gz_pose_topic(name), "geometry_msgs/msg/PoseStamped", "gz.msgs.Pose"))
    return entries


def controllers() -> dict[str, Any]:
    """Parameters of the controller manager and the arm's controller (ros2_controllers of Jazzy).

    The broadcaster needs none: it publishes every joint that the URDF gives a state.
    """
    return {
        f"{NAMESPACE}/controller_manager": {
            "ros__parameters": {
                "update_rate": CONTROLLER_RATE_HZ,
                STATE_BROADCASTER: {"type": "joint_state_broadcaster/JointStateBroadcaster"},
                ARM_CONTROLLER: {"type": "joint_trajectory_controller/JointTrajectoryController"},
            }
        },
        f"{NAMESPACE}/{ARM_CONTROLLER}": {
            "ros__parameters": {
                "joints": list(COMMANDED),
                "command_interfaces": ["position"],
                "state_interfaces": ["position", "velocity"],
                # A new target is reached from the last one, not from where the arm lags behind: as in MuJoCo.
                "interpolate_from_desired_state": True,
            }
        },
    }


def to_yaml(value: Any) -> str:
    """Text of a generated YAML file."""
    return f"# {WRITTEN}\n{yaml.safe_dump(value, sort_keys=False, width=120)}"


def _entry(ros_topic: str, gz_topic: str, ros_type: str, gz_type: str) -> dict[str, Any]:
    return {
        "ros_topic_name": ros_topic,
        "gz_topic_name": gz_topic,
        "ros_type_name": ros_type,
        "gz_type_name": gz_type,
        "direction": "GZ_TO_ROS",
    }
