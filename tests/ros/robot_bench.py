"""A robot to be checked, with the faults that its arguments name. Run as a process."""

from __future__ import annotations

import math
import sys
from contextlib import suppress

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2, PointField
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from lrm_core.ros import qos
from lrm_msgs.srv import Reset

FAULTS = (
    "degrees", "missing_joint", "misnamed_camera", "slow_camera", "encoding", "size", "stale", "zero_stamps",
    "best_effort", "no_listener", "bypass", "no_reset", "percent", "silent", "flat_cloud", "no_info",
    "second_arm",
)  # fmt: skip


class Robot(Node):
    """Two joints and two cameras at 20 Hz."""

    def __init__(self, faults: set[str]) -> None:
        super().__init__("robot_under_test")
        self.faults, self.ticks = faults, 0
        profile = qos.CAMERA if "best_effort" in faults else qos.JOINT_STATES
        self.joints = self.create_publisher(JointState, "joint_states", profile)
        self.front = self.create_publisher(Image, "front/image_raw", qos.CAMERA)
        wrist = "hand/image_raw" if "misnamed_camera" in faults else "wrist/image_raw"
        self.wrist = self.create_publisher(Image, wrist, qos.CAMERA)
        if "no_info" not in faults:
            self.infos = [self.create_publisher(CameraInfo, f"{n}/camera_info", qos.CAMERA) for n in ("front", "wrist")]
        if "second_arm" in faults:
            self.second = self.create_publisher(JointState, "joint_states", qos.JOINT_STATES)
        self.clouds = self.create_publisher(PointCloud2, "front/points", qos.CAMERA)
        if "no_listener" not in faults:
            self.create_subscription(JointTrajectory, "command", lambda _: None, qos.COMMAND)
        if "bypass" in faults:
            self.extra = self.create_publisher(JointTrajectory, "command", qos.COMMAND)
        self.other = self.create_subscription(Float64MultiArray, "arm/commands", lambda _: None, qos.COMMAND)
        if "no_reset" not in faults:
            self.create_service(Reset, "reset", lambda request, response: response)
        self.create_timer(0.05, self.tick)
        print("ready", flush=True)

    def stamp(self):
        if "zero_stamps" in self.faults:
            return Time().to_msg()
        now_ns = self.get_clock().now().nanoseconds
        return Time(nanoseconds=now_ns - (3_600_000_000_000 if "stale" in self.faults else 0)).to_msg()

    def tick(self) -> None:
        if "silent" in self.faults:
            return
        self.ticks += 1
        turn = 0.5 + 0.001 * (self.ticks % 10)
        turn = math.degrees(turn) if "degrees" in self.faults else turn
        state = JointState(name=["joint", "gripper"], position=[turn, 55.0 if "percent" in self.faults else 0.04])
        if "missing_joint" in self.faults:
            state.name[0] = "joint_1"
        state.header.stamp = self.stamp()
        self.joints.publish(state)
        if "slow_camera" not in self.faults or self.ticks % 10 == 0:
            self.publish(self.front)
        self.publish(self.wrist)
        names = "xy" if "flat_cloud" in self.faults else "xyz"
        cloud = PointCloud2(fields=[PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate(names)])
        cloud.header.stamp = self.stamp()
        self.clouds.publish(cloud)

    def publish(self, publisher) -> None:
        width = 32 if "size" in self.faults else 16
        encoding, depth = ("mono8", 1) if "encoding" in self.faults else ("rgb8", 3)
        image = Image(encoding=encoding, width=width, height=16, step=depth * width)
        image.data = np.zeros(16 * width * depth, np.uint8).tobytes()
        image.header.stamp = self.stamp()
        publisher.publish(image)


if __name__ == "__main__":
    assert set(sys.argv[1:]) <= set(FAULTS), sys.argv
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Robot(set(sys.argv[1:])))
