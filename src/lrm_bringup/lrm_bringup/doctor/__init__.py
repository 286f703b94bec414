"""What this machine has and lacks, each finding with what to do.

``finding`` is what a check returns; ``machine``, ``network``, ``models`` and ``sensors`` hold the checks, ``run`` puts
them in order. What needs ROS runs in processes of its own, ``ros``.
"""
