"""Training of the tiny reward model: let it see before it reads, then one adapter per head.

Stages, in order (``stages.py``): the vision tower regresses privileged positions; the whole model answers the three
prompts and dense auxiliary questions; three LoRA adapters are trained on the frozen backbone. Input is any iterable of
``lrm_core.episodes.EpisodeRecord``.
"""
