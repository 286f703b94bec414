"""Live and recorded runs in Rerun. Bags and the live graph are drawn by the same code, with the stamps of the headers.

Dependencies point one way::

    names, layout  <-  canvas  <-  files, ros.drawing  <-  ros.bags, ros.live  <-  inputs
"""
