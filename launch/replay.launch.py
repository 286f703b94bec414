"""A recorded run before a live reward node: ``ros2 launch lrm_bringup replay.launch.py bag:=out/bags/NAME``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("replay")
