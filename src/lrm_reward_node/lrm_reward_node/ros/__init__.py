"""The reward model on ROS 2 topics."""
