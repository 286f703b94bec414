"""What all pages are made of: the report of a run, of a replay, of the attacks. One file each, offline, no scripts.

Dependencies point one way::

    numbers, chart, pictures  <-  markup  <-  rewards  <-  report, replay, hacks
"""
