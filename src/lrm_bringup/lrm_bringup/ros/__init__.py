"""The ``lrm`` program as a ROS 2 node."""
