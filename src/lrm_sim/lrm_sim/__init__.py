"""A light arm with a parallel gripper on a table, in MuJoCo.

Dependencies point one way::

    tasks, catalog  <-  scene, placement, judge, kinematics  <-  env  <-  expert  <-  collect  <-  dataset, cli
                                                                env  <-  ros
                                                                env, expert, collect  <-  family  <-  reward_data

The learning packages never import this one: they meet it through ROS 2 topics and dataset files alone.
"""

import os

# Rendering is off screen; MuJoCo reads this when it is first imported.
os.environ.setdefault("MUJOCO_GL", "egl")
