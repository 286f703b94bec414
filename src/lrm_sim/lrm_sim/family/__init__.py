"""The widened task family: more objects, containers, colours, cameras, backgrounds, verbs and sentences.

It stands beside the twelve tasks of the demo, which stay as they are: a second model holds every shape, and paints it
per episode. Each axis has a part that is trained and a part that is held out (``splits``)::

    things, sentences  <-  judges, motions  <-  verbs  <-  scenes  <-  env  <-  episodes  <-  splits
"""
