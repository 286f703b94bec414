"""The policy: base policy, residual refinement, safety stage, learner, and their ROS 2 nodes."""
