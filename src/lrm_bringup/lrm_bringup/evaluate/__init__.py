"""Open-loop evaluation of reward models on recordings of any kind: ``lrm eval reward``.

Dependencies point one way::

    labels  <-  truth, inputs  <-  controls  <-  scores, judging  <-  run  <-  summary, worst  <-  charts, page, text
"""
