"""Cameras of LeRobot as topics: ``<name>/image_raw`` and ``<name>/camera_info``, stamped when the picture was taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from lrm_core.robot import CameraSpec, RobotContract
from lrm_core.ros import images, qos, robot_side, stamps
from lrm_core.ros.diagnostics import ERROR, Report, StreamTask
from lrm_robot_driver.cameras import LeRobotCamera
from lrm_robot_driver.connection import Connection, State
from lrm_robot_driver.device import DeviceThread
from lrm_robot_driver.params import DriverParams

_BRIDGE = images.bridge()
Say = Callable[[str, bool], None]


class CameraTopics:
    """One camera: a thread that reads it, two publishers, a line of diagnostics.

    Its intrinsics are zeros, which by sensor_msgs/CameraInfo means uncalibrated: LeRobot knows none.
    """

    def __init__(self, node: LifecycleNode, robot: RobotContract, name: str, params: DriverParams, say: Say) -> None:
        assert robot.lerobot is not None
        spec = robot.camera(name)
        self._node, self._name, self._params, self._say = node, name, params, say
        self._frame_id = robot_side.camera_frame(node, name)
        self._images = node.create_lifecycle_publisher(Image, spec.topic, qos.CAMERA)
        self._infos = node.create_lifecycle_publisher(CameraInfo, info_topic(spec), qos.CAMERA)
        self._stream = StreamTask(node, spec.min_rate_hz, spec.max_age_s)
        self._connection = _connection(params)
        self._device = LeRobotCamera(robot, spec, robot.lerobot.cameras[name], params.camera_timeout_s, self._on_frame)
        self._thread: DeviceThread | None = None

    def open(self) -> None:
        """Connect; raises BadInput when the camera gives nothing."""
        self._device.open()

    def start(self) -> None:
        """Read and publish. A camera that was given up is tried again."""
        self._connection.retry()
        self._thread = DeviceThread(f"camera {self._name}", self._device, self._connection, self._say)
        self._thread.start()

    def stop(self) -> None:
        """Publish no longer."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def destroy(self) -> None:
        """Disconnect and close."""
        self.stop()
        self._device.close()
        self._node.destroy_publisher(self._images)
        self._node.destroy_publisher(self._infos)

    def report(self) -> Report:
        """Rate and age, or that it is lost."""
        report = self._stream()
        report.values |= {"errors": self._connection.errors, "losses": self._connection.losses}
        if self._connection.state is not State.CONNECTED:
            report.level, report.message = ERROR, self._connection.text
        return report

    def _on_frame(self, rgb: np.ndarray, age_s: float) -> None:
        stamp_ns = int(self._node.get_clock().now().nanoseconds) - round(1e9 * age_s)
        header = Header(stamp=stamps.from_ns(max(0, stamp_ns)), frame_id=self._frame_id)
        image = _BRIDGE.cv2_to_imgmsg(rgb, "rgb8", header)
        self._infos.publish(robot_side.camera_info(image, None))
        self._images.publish(image)
        self._stream.tick(stamp_ns)


def info_topic(camera: CameraSpec) -> str:
    """``camera_info`` beside the images (image_transport's convention)."""
    folder, _, _ = camera.topic.rpartition("/")
    return f"{folder}/camera_info" if folder else "camera_info"


def _connection(params: DriverParams) -> Connection:
    return Connection(params.failures, params.reconnect_attempts, params.reconnect_period_s)
