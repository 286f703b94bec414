"""ROS 2 driver around LeRobot's own arms and cameras.

``units``, ``calibration``, ``commands`` and ``connection`` are pure logic. ``arm``, ``cameras`` and ``loading`` are
thin adapters, which import LeRobot where they use it. ``device`` is the thread that owns one of them, ``ros`` the node.
"""
