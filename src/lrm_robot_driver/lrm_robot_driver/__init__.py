"""ROS 2 driver around LeRobot's own arms and cameras, and teleoperation by its leaders.

``units``, ``calibration``, ``commands``, ``following``, ``turn`` and ``connection`` are pure logic. ``arm``,
``leader``, ``motors``, ``cameras`` and ``loading`` are thin adapters, which import LeRobot where they use it.
``device`` is the thread that owns one of them, ``ros`` the two nodes.
"""
