"""The ``lrm`` program: starts the graph of processes, runs the demo, watches it and reports.

Pure parts (supervisor, plan, journal, summary, figures) import no rclpy; the sub-packages named ``ros`` do.
"""
