"""What configuration files and weights have to be, found out before they can do harm: one clear line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import safe_open
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.vlm.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, digest_of
from lrm_reward_node.vlm.proof import HalfLoaded

MODEL_TYPE = "qwen3_vl"
MOST_MISSING = 1.5
"""A configuration may describe at most this many times the numbers that the weight files hold; the exact comparison
comes after loading. transformers fills what is missing with random numbers, and for a configuration of another model
that can be more than the machine has memory for.
"""


def in_one_line(error: BaseException) -> str:
    """What ``error`` says, in one line of at most 300 characters, or its name."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def read_object(field: str, path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises :class:`BadInput` when there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(field, str(path), "a readable JSON file", in_one_line(error)) from error
    if not isinstance(found, dict):
        raise BadInput(field, str(path), "a JSON object")
    return found


def read_architecture(folder: Path) -> Qwen3VLConfig:
    """The ``config.json`` of a folder.

    Raises:
        BadInput: it is none of a Qwen3-VL about as large as the weight files beside it.
    """
    values = read_object("model", folder / "config.json")
    if values.get("model_type") != MODEL_TYPE:
        fix = f"The model_type in config.json is {values.get('model_type')!r}."
        raise BadInput("model", str(folder), f"a model of type {MODEL_TYPE}", fix)
    try:
        config = Qwen3VLConfig.from_dict(values)
        with torch.device("meta"):
            model = Qwen3VLForConditionalGeneration(config)
    except Exception as error:  # transformers checks with exceptions of many unrelated types
        raise BadInput("model", str(folder), "a config.json of Qwen3-VL", in_one_line(error)) from error
    described, held = sum(p.numel() for p in model.parameters()), _numbers(folder.glob("*.safetensors"))
    if described > MOST_MISSING * held:
        fix = f"It describes {described:,} parameters, the files hold {held:,}."
        raise BadInput("model", str(folder), "weights that fit config.json", fix)
    return config


def _numbers(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        with safe_open(path, framework="pt") as file:
            total += sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118
    return total


def check_finite(field: str, folder: Path, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Raise :class:`HalfLoaded` for the first tensor that holds a NaN or an infinity."""
    for name, tensor in tensors:
        if tensor.numel() and not torch.isfinite(torch.stack(torch.aminmax(tensor.detach()))).all():
            fix = f"{name} holds a NaN or an infinity as {str(tensor.dtype).removeprefix('torch.')}: fetch it again."
            raise HalfLoaded(field, str(folder), "finite weights", fix)


def read_adapter_config(head: RewardHead, folder: Path) -> LoraConfig:
    """Rank, alpha and targets as the file says. ``[visual, merger]`` overlap and are read as ``[visual]``.

    Raises:
        BadInput: it is none of LoRA, or asks for something that this version of PEFT does not know.
    """
    field, path = f"{head.value} adapter", folder / ADAPTER_CONFIG
    values = read_object(field, path)
    allowed = "a LoRA configuration of PEFT"
    if values.get("peft_type") != "LORA":
        raise BadInput(field, str(path), allowed, f"Its peft_type is {values.get('peft_type')!r}.")
    known = {one.name for one in fields(LoraConfig)}
    if strange := sorted(name for name, value in values.items() if value and name not in known):
        raise BadInput(field, str(path), allowed, f"It uses {strange[0]}, which this version of PEFT does not know.")
    if not isinstance(rank := values.get("r"), int) or rank < 1:
        raise BadInput(field, str(path), allowed, f"Its r is {rank!r}, not a number of at least 1.")
    if set(values.get("modules_to_save") or ()) == {"visual", "merger"}:
        values["modules_to_save"] = ["visual"]
    values.pop("auto_mapping", None)
    try:
        return LoraConfig.from_peft_type(**{**values, "inference_mode": True})
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(field, str(path), allowed, in_one_line(error)) from error


def check_different(folders: Mapping[RewardHead, Path]) -> None:
    """Raise :class:`BadInput` when two heads have the same adapter: one of them would answer another's question."""
    seen: dict[str, RewardHead] = {}
    for head, folder in folders.items():
        digest = digest_of([folder / ADAPTER_WEIGHTS], named=False)
        other = seen.setdefault(digest, head)
        if other is not head:
            fix = f"The {other.value} adapter has the same weights: one of the two folders is a copy."
            raise BadInput(f"{head.value} adapter", str(folder), "an adapter of its own", fix)
