"""What everything that stands for a robot, a driver or a simulator, publishes in the same way."""

from __future__ import annotations

import math

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image


def frame_prefix(node: Node) -> str:
    """What the frames of a robot in a namespace begin with."""
    namespace = node.get_namespace().strip("/")
    return f"{namespace}/" if namespace else ""


def camera_frame(node: Node, camera: str) -> str:
    """Optical frame of a camera (REP 103)."""
    return f"{frame_prefix(node)}{camera}_camera_optical_frame"


def camera_info(image: Image, fovy_deg: float | None) -> CameraInfo:
    """Intrinsics of the ideal pinhole camera that took ``image``; without ``fovy_deg`` zeros: uncalibrated."""
    info = CameraInfo(header=image.header, width=image.width, height=image.height, distortion_model="plumb_bob")
    info.d = [0.0] * 5
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    if fovy_deg is not None:
        focal = image.height / 2.0 / math.tan(math.radians(fovy_deg) / 2.0)
        cx, cy = (image.width - 1) / 2.0, (image.height - 1) / 2.0
        info.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
        info.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
