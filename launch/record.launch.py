"""The recorder alone: ``ros2 launch lrm_bringup record.launch.py``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("record")
