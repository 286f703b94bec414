"""A random reward-model checkpoint for tests: the tiny architecture, three adapters that all change the output."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from lrm_core.rewards import MODEL_HEADS
from lrm_reward_node.training.checkpoint import new_model, save_processor
from lrm_reward_node.training.stages import LORA_TARGETS
from lrm_reward_node.training.tokenizer import build_tokenizer

WORDS = ["put the red cube in the blue bowl", "put the green cylinder in the white box"]


def save_random_checkpoint(folder: Path, *, words_of_answers: bool = True) -> Path:
    """Write backbone, processor and adapters into ``folder``.

    Args:
        words_of_answers: False takes the legal answers out of the tokenizer's fixed texts, so that they are several
            tokens long, as with a tokenizer of somebody else.
    """
    torch.manual_seed(0)
    tokenizer = build_tokenizer(WORDS) if words_of_answers else _without_answers()
    model = new_model(tokenizer)
    save_processor(folder, tokenizer)
    model.save_pretrained(folder)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=LORA_TARGETS, init_lora_weights=False)
    first, *others = [head.value for head in MODEL_HEADS]
    peft = get_peft_model(model, config, adapter_name=first)
    for name in others:
        peft.add_adapter(name, config)
    peft.save_pretrained(folder, selected_adapters=[first, *others])
    return folder


def edit_adapter(folder: Path, head: str, change: object) -> None:
    """Apply ``change(tensors)`` to the tensors of one adapter file."""
    path = folder / head / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)  # type: ignore[operator]
    save_file(tensors, path)


def _without_answers():  # type: ignore[no-untyped-def]
    from unittest.mock import patch

    with patch("lrm_reward_node.training.tokenizer.answer_pieces", return_value=[]):
        return build_tokenizer(WORDS)
