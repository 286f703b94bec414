"""The refinement: features, residual policy, critic ensemble, replay buffer. Pure numpy and torch, no ROS."""
