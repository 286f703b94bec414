"""Messages of the simulated robot from observations, and joint targets from commands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from lrm_core.errors import BadInput
from lrm_core.ros import images, stamps
from lrm_core.ros.robot_side import camera_info
from lrm_msgs.msg import SimAudit
from lrm_sim.scene import CAMERAS, JOINTS

_BRIDGE = images.bridge()


@dataclass(frozen=True)
class Observation:
    """All messages of one moment; their stamps are equal."""

    stamp_ns: int
    clock: Clock
    cameras: dict[str, tuple[Image, CameraInfo]]
    joints: JointState
    audit: SimAudit | None


def observation(
    values: dict[str, np.ndarray],
    info: dict[str, Any],
    *,
    stamp_ns: int,
    seed: int,
    fovy_deg: dict[str, float],
    frame_prefix: str,
) -> Observation:
    """Messages of an environment's observation and info. ``audit`` is None when the info holds no privileged truth."""
    stamp = stamps.from_ns(stamp_ns)
    cameras = {}
    for name in CAMERAS:
        header = Header(stamp=stamp, frame_id=f"{frame_prefix}{name}_camera_optical_frame")
        image = _BRIDGE.cv2_to_imgmsg(values[name], "rgb8", header)
        cameras[name] = image, camera_info(image, fovy_deg.get(name))
    joints = JointState(header=Header(stamp=stamp, frame_id=f"{frame_prefix}base_link"), name=list(JOINTS))
    joints.position = values["joint_positions"].astype(float).tolist()
    joints.velocity = values["joint_velocities"].astype(float).tolist()
    audit = None
    if {"success", "progress"} <= info.keys():
        audit = SimAudit(header=joints.header, seed=seed, task=info.get("task", ""), success=bool(info["success"]))
        audit.progress, audit.outcome = float(info["progress"]), str(info.get("outcome", ""))
    return Observation(stamp_ns, Clock(clock=stamp), cameras, joints, audit)


def joint_targets(command: JointTrajectory) -> np.ndarray:
    """Targets (6,) float32 of a command, in the order of :data:`JOINTS`.

    Raises:
        BadInput: other joint names, not exactly one point, a wrong number of positions, or one that is not finite.
    """
    if sorted(command.joint_names) != sorted(JOINTS):
        raise BadInput("command joint_names", list(command.joint_names), f"{list(JOINTS)} in any order")
    if len(command.points) != 1:
        raise BadInput("command points", len(command.points), "exactly 1 point")
    positions = list(command.points[0].positions)
    if len(positions) != len(JOINTS) or not all(map(math.isfinite, positions)):
        raise BadInput("command positions", positions, f"{len(JOINTS)} finite numbers")
    by_name = dict(zip(command.joint_names, positions, strict=True))
    return np.array([by_name[name] for name in JOINTS], np.float32)
