"""``python -m lrm_bringup.doctor.ros.live SECONDS``: cameras and clock in the user's domain, as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from functools import partial

import rclpy
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from lrm_core.ros import qos

_KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


def look(seconds: float) -> dict[str, object]:
    """Images per second of every camera topic, and clock messages heard, over ``seconds``."""
    node = rclpy.create_node("lrm_doctor_looks")
    counts: Counter[str] = Counter()
    listening: set[str] = set()
    node.create_subscription(Clock, "/clock", lambda _: counts.update(["/clock"]), qos.CLOCK)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for name, types in node.get_topic_names_and_types():
            kind = _KINDS.get(types[0])
            if kind is not None and name not in listening:
                listening.add(name)
                count = partial(lambda topic, _: counts.update([topic]), name)
                node.create_subscription(kind, name, count, qos_profile_sensor_data, raw=True)
        rclpy.spin_once(node, timeout_sec=0.05)
    cameras = {name: round(counts[name] / seconds, 1) for name in sorted(listening)}
    return {"cameras": cameras, "clock": counts["/clock"], "nodes": len(node.get_node_names()) - 1}


if __name__ == "__main__":
    rclpy.init()
    print(json.dumps(look(float(sys.argv[1]))))
