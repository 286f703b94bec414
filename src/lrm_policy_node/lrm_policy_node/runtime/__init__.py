"""The control loop as pure logic, without rclpy: observations, reward gate, decisions, episodes, runs.

``loop`` runs one episode in blocking style on a thread of its own; it reaches the world through the small interface in
``world``. On ROS 2 that is ``lrm_policy_node.ros``; in tests a simulated arm in a few lines.
"""
