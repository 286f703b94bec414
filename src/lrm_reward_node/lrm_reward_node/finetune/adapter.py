"""The model that is trained: the base as it is in its files, with one adapter to train, compared with its file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import set_seed

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.config import TrainConfig
from lrm_reward_node.vlm.files import ADAPTER_WEIGHTS, has_processor, head_folder, is_merged
from lrm_reward_node.vlm.loading import load_backbone, model_dtype
from lrm_reward_node.vlm.processor import load_processor
from lrm_reward_node.vlm.proof import check_loaded
from lrm_reward_node.vlm.vetting import read_adapter_config, read_architecture

ADAPTER = "default"
"""Its name while it is trained; TRL wants it so, and PEFT writes it without a folder of its own."""


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        base: folder of the frozen model.
        adapters: folder with the adapters that are gone on from; None starts with new ones.
        name: of the base, as it goes into the adapters: a hub name, or empty.
    """

    base: Path
    adapters: Path | None
    name: str

    def adapter(self, head: RewardHead) -> Path | None:
        """The adapter of ``head`` that is gone on from.

        Raises:
            BadInput: there is none, or it is merged into a whole model.
        """
        if self.adapters is None:
            return None
        folder = head_folder(self.adapters, head)
        if is_merged(folder):
            raise BadInput("--from", str(folder), "an adapter", "A merged model has none to go on with.")
        return folder

    def processor_folder(self, head: RewardHead) -> Path:
        """Where the processor of ``head`` is: an adapter may bring its own."""
        own = self.adapter(head)
        return own if own is not None and has_processor(own) else self.base

    def processor(self, head: RewardHead) -> Any:
        """The processor of ``head``, checked against the base."""
        return load_processor(self.processor_folder(head), read_architecture(self.base))


def lora_config(config: TrainConfig, head: RewardHead, start: Start) -> LoraConfig:
    """Rank, alpha and targets: those of the adapter that is gone on from, else the configuration's."""
    folder = start.adapter(head)
    if folder is not None:
        found = read_adapter_config(head, folder)
        found.inference_mode = False
        found.lora_dropout = config.lora.dropout
        return found
    lora = config.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha if lora.alpha % 1 else int(lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=_language_targets(lora.targets),
        modules_to_save=["visual"] if head.value in lora.vision else None,
    )


def _language_targets(names: list[str]) -> list[str]:
    """Refuse names of layers in the vision tower: the released adapters leave it alone or replace it as a whole."""
    clash = sorted({"qkv", "proj", "linear_fc1", "linear_fc2"} & set(names))
    if clash:
        raise BadInput("lora.targets", clash[0], "layers of the language model", "List the head in lora.vision.")
    return list(names)


def load_trainable(config: TrainConfig, head: RewardHead, start: Start) -> Any:
    """The PEFT model of ``head``, on the CPU: the base is loaded, the adapter attached, and only then may it move.

    Raises:
        BadInput: something is missing or does not fit.
    """
    base = load_backbone(start.base, model_dtype(config.base.dtype))
    base.name_or_path = base.config.name_or_path = start.name  # else PEFT writes a folder of this machine
    base.config.use_cache = False
    set_seed(config.training.seed)
    try:
        model = get_peft_model(
            base, lora_config(config, head, start), adapter_name=ADAPTER, autocast_adapter_dtype=not _sharded()
        )
    except ValueError as error:
        raise BadInput("lora.targets", config.lora.targets, "layers of the base", str(error)) from error
    folder = start.adapter(head)
    if folder is not None:
        tensors = load_file(folder / ADAPTER_WEIGHTS)
        set_peft_model_state_dict(model, dict(tensors), adapter_name=ADAPTER)
        check_loaded(model, head, folder, tensors, ADAPTER)
    if config.training.bf16 and not _sharded():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a vision tower too: steps are smaller than what 16 bit can tell apart
                parameter.data = parameter.data.float()
    if config.training.gradient_checkpointing:
        model.enable_input_require_grads()
    return model


def _sharded() -> bool:
    """FSDP and DeepSpeed shard weights of one number format; without them adapters are trained in 32 bit."""
    return any(os.environ.get(f"ACCELERATE_USE_{name}", "false") == "true" for name in ("FSDP", "DEEPSPEED"))
