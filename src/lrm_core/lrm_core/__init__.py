"""Types and pure logic that every other package hangs on: Python and numpy alone.

Dependencies point one way::

    lrm_msgs, lrm_core  <-  pure logic  <-  adapters (vlm, lerobot, mujoco)  <-  ros  <-  launch, command line

``lrm_core.ros`` is the only sub-package here that may import rclpy. The reward and the policy package never import
each other: they meet in ``lrm_msgs`` and in these types. ``tests/unit/test_imports.py`` holds both rules.
"""
