"""``python -m lrm_bringup.doctor.ros.round_trip ask|answer``: an image there and back again."""

from __future__ import annotations

import array
import sys
import time

import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

_SIZE, _ROUNDS, _DEADLINE_S = 640 * 480 * 3, 10, 30.0
_PROFILE = QoSProfile(depth=1)


def answer() -> int:
    """Send back what comes, until killed."""
    node = rclpy.create_node("lrm_doctor_answers")
    back = node.create_publisher(Image, "lrm_doctor/back", _PROFILE)
    node.create_subscription(Image, "lrm_doctor/there", back.publish, _PROFILE)
    rclpy.spin(node)
    return 0


def ask() -> int:
    """Print how long discovery and a round trip take; 1 when nothing comes back."""
    node = rclpy.create_node("lrm_doctor_asks")
    there = node.create_publisher(Image, "lrm_doctor/there", _PROFILE)
    came_s: list[float] = []
    node.create_subscription(Image, "lrm_doctor/back", lambda _: came_s.append(time.monotonic()), _PROFILE)
    picture = Image(height=480, width=640, step=1920, encoding="rgb8", data=array.array("B", bytes(_SIZE)))
    began_s, took_ms = time.monotonic(), list[float]()
    while len(took_ms) < _ROUNDS and time.monotonic() < began_s + _DEADLINE_S:
        sent_s, seen = time.monotonic(), len(came_s)
        there.publish(picture)
        while len(came_s) == seen and time.monotonic() < sent_s + 1.0:
            rclpy.spin_once(node, timeout_sec=0.05)
        if len(came_s) > seen:
            took_ms.append(1e3 * (came_s[-1] - sent_s))
    if not took_ms:
        print(f"nothing came back within {_DEADLINE_S:g} s")
        return 1
    print(f"an image of {_SIZE:,} bytes there and back in {sorted(took_ms)[len(took_ms) // 2]:.1f} ms")
    return 0


if __name__ == "__main__":
    rclpy.init()
    sys.exit({"ask": ask, "answer": answer}[sys.argv[1]]())
