"""The Fast DDS profile carries camera images between two real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ros_testing import node_process, ros_context, spin_until

SIZE = 640 * 480 * 3
CAMERA = f"""
import array, rclpy, signal
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image_raw", qos_profile_sensor_data)
image = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", bytes([7]) * {SIZE}))
sent = 0
def publish():
    global sent
    if publisher.get_subscription_count():
        image.header.stamp.sec = sent
        publisher.publish(image)
        sent += 1
node.create_timer(1 / 30, publish)
rclpy.spin(node)
"""
FRAMES = 60


@pytest.fixture
def context(ros_domain_id: int):
    with ros_context() as context:
        yield context


def test_best_effort_images_of_640_by_480_arrive(context, tmp_path: Path) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    node = rclpy.create_node("viewer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    received: list[int] = []

    def keep(image: Image) -> None:
        assert len(image.data) == SIZE
        assert image.data[-1] == 7
        received.append(image.header.stamp.sec)

    node.create_subscription(Image, "image_raw", keep, qos_profile_sensor_data)
    with node_process([sys.executable, "-c", CAMERA], tmp_path / "camera.log") as camera:
        spin_until(executor, lambda: received and received[-1] >= FRAMES, 30.0, f"{FRAMES} images")
    share = len(received) / (received[-1] - received[0] + 1)
    assert share > 0.8, f"{share:.0%} of the images arrived: {camera.output}"
    executor.shutdown()
    node.destroy_node()
