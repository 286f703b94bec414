"""Who publishes a topic."""

from __future__ import annotations

from rclpy.node import Node


def publishers(node: Node, topic: str) -> list[str]:
    """Full names of the nodes that publish ``topic``, as ``node`` names it."""
    found = node.get_publishers_info_by_topic(topic)
    return [f"{one.node_namespace.rstrip('/')}/{one.node_name}" for one in found]
