"""Safety stage, reward, policy and learner, without the robot: ``ros2 launch lrm_bringup robot.launch.py``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("robot")
