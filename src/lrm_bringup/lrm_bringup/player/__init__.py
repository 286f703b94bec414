"""Plays a recorded run before live nodes, so that a reward node scores it as if it happened now.

Dependencies point one way::

    params, selection  <-  playback  <-  ros   publishers, clock, diagnostics
"""
