"""Proof that a checkpoint was loaded as a whole: what was compared, counted and measured, per head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead

PROBE_TOKENS = 8
"""Length of the token sequence whose logits are compared with the base's."""


class HalfLoaded(BadInput):
    """The files can be read, but the model in memory is not what they say."""


@dataclass(frozen=True)
class HeadProof:
    """What is known of one head after loading.

    Attributes:
        merged: True when the head is a whole model of its own, with its adapter merged in.
        rank: LoRA rank; 0 when merged. ``alpha``, ``targets`` and ``modules_to_save`` as the adapter's file says.
        tensors: tensors in the head's files; each was found in the model exactly once.
        lora_b: number of ``lora_B`` matrices.
        zero_lora_b: modules whose ``lora_B`` is all zero: there the base answers.
        logit_change: largest difference of a logit from the base's, over a fixed token sequence.
        vision_change: largest difference of an image feature from the base's; 0 without own vision tower.
        own_vision: the head brings its own vision tower.
        own_processor: tokenizer and image processor come from the head's folder, not from the base's.
    """

    merged: bool
    rank: int
    alpha: float
    targets: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    tensors: int
    lora_b: int
    zero_lora_b: tuple[str, ...]
    logit_change: float
    vision_change: float
    own_vision: bool
    own_processor: bool


def check_loaded(
    model: PeftModel, head: RewardHead, folder: Path, tensors: Mapping[str, Tensor], adapter: str = ""
) -> tuple[str, ...]:
    """Every tensor of the file is in the model exactly once, none is missing, and some ``lora_B`` is not zero.

    Args:
        adapter: its name in the model; empty: that of the head.

    Returns:
        The modules whose ``lora_B`` is all zero.

    Raises:
        HalfLoaded: one of these does not hold.
    """
    field, allowed = f"{head.value} adapter", "an adapter of which every tensor was loaded"
    loaded = get_peft_model_state_dict(model, adapter_name=adapter or head.value)
    if strange := sorted(set(tensors) - set(loaded)):
        raise HalfLoaded(field, str(folder), allowed, f"Not used: {strange[0]} and {len(strange) - 1} more.")
    if missing := sorted(set(loaded) - set(tensors)):
        raise HalfLoaded(field, str(folder), allowed, f"Not in the file: {missing[0]} and {len(missing) - 1} more.")
    for name, tensor in tensors.items():
        if tensor.shape != loaded[name].shape or not torch.equal(tensor.to(loaded[name].dtype), loaded[name].cpu()):
            raise HalfLoaded(field, str(folder), allowed, f"{name} in the model differs from the file.")
    lora_b = lora_b_names(tensors)
    zero = tuple(name.partition(".lora_B")[0] for name in lora_b if not tensors[name].any())
    if len(zero) == len(lora_b):
        raise HalfLoaded(field, str(folder), "a trained adapter", "All lora_B are zero: the base alone would answer.")
    return zero


def lora_b_names(tensors: Mapping[str, Any]) -> list[str]:
    """Names of the ``lora_B`` matrices, sorted."""
    return sorted(name for name in tensors if "lora_B" in name)


@torch.inference_mode()
def probe_logits(model: Any) -> Tensor:
    """(tokens, vocabulary) float32 logits of a fixed token sequence."""
    return model(input_ids=torch.arange(PROBE_TOKENS, device=model.device)[None]).logits[0].float().cpu()


@torch.inference_mode()
def probe_features(model: Any) -> Tensor:
    """(tokens, hidden) float32 image features of a fixed picture of 4 x 4 patches."""
    core = model.get_base_model().model if isinstance(model, PeftModel) else model.model
    vision = core.config.vision_config
    width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    patches = torch.linspace(-1.0, 1.0, 16 * width, device=model.device).view(16, width)
    grid = torch.tensor([[1, 4, 4]], device=model.device)
    features = core.get_image_features(patches.to(model.dtype), grid, return_dict=True)
    return torch.cat(list(features.pooler_output)).float().cpu()


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference of two tensors of one shape."""
    return float((one - other).abs().max())


def check_effect(head: RewardHead, logits: Tensor, base: Tensor) -> float:
    """Largest difference of a logit from the base's.

    Raises:
        HalfLoaded: there is none, or the logits are not finite.
    """
    allowed = "an adapter that changes the model's output"
    if not torch.isfinite(logits).all():
        raise HalfLoaded(f"{head.value} adapter", head.value, allowed, "Its logits are not finite.")
    change = largest_difference(logits, base)
    if change == 0.0:
        raise HalfLoaded(f"{head.value} adapter", head.value, allowed, "Its logits equal the base's.")
    return change
