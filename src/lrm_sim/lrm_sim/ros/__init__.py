"""The simulated robot as a ROS 2 node: the only part of this package that imports rclpy."""
