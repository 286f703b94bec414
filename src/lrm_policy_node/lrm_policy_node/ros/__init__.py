"""The policy node on ROS 2."""
