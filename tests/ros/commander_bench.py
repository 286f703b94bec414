"""A process that commands the arm of ``test_safety_node`` as a policy does, until it is killed."""

from __future__ import annotations

import rclpy
from rclpy.executors import SingleThreadedExecutor
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lrm_core.ros import qos


def main() -> None:
    """Command one pose at 10 Hz."""
    rclpy.init()
    node = rclpy.create_node("commander")
    publisher = node.create_publisher(JointTrajectory, "proposed_command", qos.proposal())

    def propose() -> None:
        message = JointTrajectory(joint_names=["joint", "gripper"])
        message.points = [JointTrajectoryPoint(positions=[0.02, 0.04])]
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(0.1, propose)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
