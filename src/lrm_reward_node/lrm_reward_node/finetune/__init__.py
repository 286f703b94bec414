"""LoRA fine-tuning of the reward heads with transformers' Trainer, peft and TRL, on the exact prompts.

``lrm train reward``: one adapter per head on a frozen base, from a training set of ``lrm data build``. The tiny base
itself comes from :mod:`lrm_reward_node.training`.
"""
