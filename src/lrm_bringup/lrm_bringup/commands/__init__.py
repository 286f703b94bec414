"""The sub-commands of ``lrm`` that live here. Each module offers ``configure(parser)`` and ``run(args) -> exit code``."""
