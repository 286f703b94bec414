"""Bags as LeRobotDatasets, and back; and bags as transitions that the learner starts from.

Dependencies point one way::

    alignment  <-  episode  <-  pieces  <-  columns, provenance, stats, ros (bags)  <-  export, to_bags, warm_start
"""
