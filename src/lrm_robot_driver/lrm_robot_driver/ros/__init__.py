"""Driver and teleoperation on ROS 2: the only part of this package that imports rclpy."""
