"""The reward node alone, for example on the machine with the GPU: ``ros2 launch lrm_bringup reward.launch.py``."""

from lrm_bringup.ros_launch import launch_description


def generate_launch_description():
    return launch_description("reward")
