"""The simulator and everything that drives it: ``ros2 launch lrm_bringup sim.launch.py``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("sim")
