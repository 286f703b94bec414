"""The sub-commands of ``lrm`` of this package: each module offers ``configure(parser)`` and ``run(args)``."""
