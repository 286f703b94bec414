"""What would be trained, before anything is: samples, steps, trainable numbers and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model
from transformers import Qwen3VLForConditionalGeneration

from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.adapter import Start, lora_config
from lrm_reward_node.finetune.config import TrainConfig
from lrm_reward_node.finetune.questions import Collator
from lrm_reward_node.finetune.selection import Selection
from lrm_reward_node.vlm.loading import model_dtype
from lrm_reward_node.vlm.vetting import read_architecture

PROBED = 4
"""Samples whose length stands for all."""
LAYER_BYTES = 34
"""Bytes per token and hidden unit that a layer keeps for the backward pass in 16 bit, where attention does not keep its
weights (Korthikanti et al. 2022, equation 2)."""


@dataclass(frozen=True)
class HeadPlan:
    """What one head takes.

    Attributes:
        by_source: source -> samples that are trained on.
        tokens: of the longest of some rows.
        trainable, total: numbers.
        memory_bytes: estimate for one device: weights, gradients, Adam's moments, activations, logits.
    """

    head: RewardHead
    by_source: dict[str, int]
    held_out: int
    passes: float
    tokens: int
    trainable: int
    total: int
    memory_bytes: int


def plan_head(config: TrainConfig, head: RewardHead, start: Start, chosen: Selection, devices: int = 1) -> HeadPlan:
    """Count; nothing is loaded but configuration, processor and a few samples."""
    architecture = read_architecture(start.base)
    with torch.device("meta"):
        model = get_peft_model(Qwen3VLForConditionalGeneration(architecture), lora_config(config, head, start))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    rows = [chosen.training[i] for i in range(min(PROBED, len(chosen.training)))]
    batch = Collator(head, start.processor(head))(rows)
    tokens = int(batch["input_ids"].shape[1])
    samples = config.training.steps * config.training.batch_size * config.training.gradient_accumulation * devices
    memory = _memory(config, architecture.text_config, total - trainable, trainable, tokens, batch["logits_to_keep"])
    passes = samples * chosen.new_share / chosen.new
    held_out = len(chosen.held_out or ()) + len(chosen.old or ())
    return HeadPlan(head, chosen.counts, held_out, passes, tokens, trainable, total, memory)


def _memory(config: TrainConfig, text: Any, frozen: int, trainable: int, tokens: int, kept: int) -> int:
    size = model_dtype(config.base.dtype).itemsize
    per_layer = LAYER_BYTES * size // 2 * tokens * text.hidden_size * config.training.batch_size
    layers = text.num_hidden_layers
    inputs = size * tokens * text.hidden_size * config.training.batch_size * layers
    activations = inputs + per_layer if config.training.gradient_checkpointing else layers * per_layer
    logits = 3 * 4 * config.training.batch_size * kept * text.vocab_size
    return frozen * size + trainable * 16 + activations + logits


def print_plan(plans: list[HeadPlan], config: TrainConfig) -> None:
    """One column per head."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    training = config.training
    accumulated = f" × {training.gradient_accumulation}" if training.gradient_accumulation > 1 else ""
    rows = {
        "samples": lambda p: "\n".join(f"{name}: {count:,}" for name, count in sorted(p.by_source.items())),
        "held out": lambda p: f"{p.held_out:,}",
        "steps × batch": lambda p: f"{training.steps:,} × {training.batch_size}{accumulated}",
        "passes over the samples": lambda p: f"{p.passes:.1f}",
        "tokens of a row": lambda p: str(p.tokens),
        "numbers trained": lambda p: f"{p.trainable:,}",
        "numbers in all": lambda p: f"{p.total:,}",
        "memory, estimated": lambda p: f"{p.memory_bytes / 2**30:.2f} GiB",
    }
    table = Table("", *(plan.head.value for plan in plans), box=SIMPLE)
    for name, value in rows.items():
        table.add_row(name, *(value(plan) for plan in plans))
    Console(stderr=True).print(table)
