"""A light arm with a parallel gripper on a table, in MuJoCo.

Dependencies point one way::

    tasks, catalog  <-  scene, placement, judge, kinematics  <-  env  <-  expert  <-  collect  <-  dataset, cli
                                                                env  <-  ros

The learning packages never import this one: they meet it through ROS 2 topics and dataset files alone.
"""
