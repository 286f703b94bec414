"""What changed between two runs: ``runs`` reads, ``compare`` compares, ``show`` and ``page`` tell."""
