"""Recorded runs scored again, as the live node would: the same queries about the same frames.

Dependencies point one way::

    events  <-  schedule, sources  <-  scoring  <-  agreement, table, page, run
                ros: messages of bags, reward messages, the pipeline of the reward node
"""
