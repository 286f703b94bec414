"""The recorder on ROS 2."""
