"""``lrm doctor`` on this machine: real processes, real DDS."""

from __future__ import annotations

import json

import pytest

from lrm_bringup.cli import main
from lrm_core.ros import qos
from ros_testing import ros_context


def test_it_looks_at_everything_and_finds_a_live_camera(ros_domain_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    import rclpy
    from sensor_msgs.msg import Image

    with ros_context(ros_domain_id) as context:
        node = rclpy.create_node("camera", context=context)
        node.create_publisher(Image, "front/image_raw", qos.CAMERA)
        code = main(["doctor", "--json"])
        node.destroy_node()
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert "there and back in" in found["DDS discovery"]["found"]
    assert found["live topics"]["level"] == "warn"
    assert "front/image_raw" in found["live topics"]["fix"]
    assert all(one["fix"] for one in found.values() if one["level"] != "ok")
    assert code == int(any(one["level"] == "fail" for one in found.values()))


def test_a_failure_ends_with_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cuda:99"]) == 1
    assert "fail  GPU" in capsys.readouterr().out
