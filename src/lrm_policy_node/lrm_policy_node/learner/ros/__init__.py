"""ROS 2 process of the learner."""
