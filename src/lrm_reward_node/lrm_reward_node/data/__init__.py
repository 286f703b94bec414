"""Training sets for the three heads, out of recorded episodes of any kind, without torch; see ``docs/data.md``.

A manifest names sources of episodes (``lrm.episode_sources``). A build reads every episode once, keeps some of its
frames as picture files, and makes questions with their answers of them. Dependencies point one way::

    registry, sources  <-  manifest  <-  episode, store, reading  <-  splits, making  <-  index, indexing  <-  build
    store, summary  <-  samples (what a trainer opens)
"""
