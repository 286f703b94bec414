"""Bags of anyone, read: folders, single MCAP and sqlite3 files, split bags, bags without metadata, damaged ones.

``rosbags`` does messages and sqlite3; it opens a file as a whole or not at all. Here a fault costs what it hit, a topic
or a stretch of the file, and is reported; the rest is used.

Dependencies point one way::

    faults, types  <-  mcap, sqlite, decoding  <-  bag  <-  copying    writes as the recorder does
"""
