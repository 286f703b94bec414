"""Safety stage and a person's leader, with LeRobot's driver: ``ros2 launch lrm_bringup teleop.launch.py``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("teleop")
