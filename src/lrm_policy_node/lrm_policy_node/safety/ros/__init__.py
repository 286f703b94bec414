"""The safety stage on ROS 2."""
