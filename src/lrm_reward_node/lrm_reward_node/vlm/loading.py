"""Loading a Qwen3-VL backbone and its LoRA adapters, and proving that they were loaded.

The trap: an adapter that is attached to a model already placed on devices keeps ``lora_B`` at zero without a warning,
and the plain base is served. So: load on the CPU, attach, compare every tensor with its file, then move.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration
from transformers.utils import logging as hf_logging

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A backbone with its three adapters, checked.

    Attributes:
        model: PEFT model with one adapter per head, named as the head.
        processors: ``Qwen3VLProcessor`` of each head.
        own_vision: heads whose adapter brings its own vision tower.
        digest: sha256 over all weight and processor files, hexadecimal.
    """

    model: PeftModel
    processors: Mapping[RewardHead, Any]
    own_vision: frozenset[RewardHead]
    digest: str


def load_checkpoint(path: str, adapters: str | None, device: str, dtype: str) -> Checkpoint:
    """Load backbone ``path`` and the adapters in the folder ``adapters`` (default: inside ``path``).

    Args:
        path: local folder or hub name of the backbone.
        adapters: local folder or hub name with the sub-folders contrastive, progress and completion.
        device: torch device.
        dtype: float32, bfloat16 or float16.

    Raises:
        BadInput: a file is missing, truncated or of another shape, or an adapter's weights did not load.
    """
    if dtype not in DTYPES:
        raise BadInput("dtype", dtype, f"one of {sorted(DTYPES)}")
    folder = resolve_folder("model", path)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BadInput("model", path, "a folder with config.json and *.safetensors")
    adapter_folder = resolve_folder("adapters", adapters) if adapters else folder
    folders = {head: _adapter_folder(adapter_folder, head) for head in MODEL_HEADS}
    for file in [*weights, *(one / ADAPTER_WEIGHTS for one in folders.values())]:
        _check_complete(file)
    base = _load_base(folder, DTYPES[dtype])
    configs = {head: _adapter_config(one) for head, one in folders.items()}
    model = _attach(base, folders, configs)
    model.eval().requires_grad_(False)
    model.to(device)
    _check_effect(model)
    base_processor = _processor(folder)
    processors = {head: _processor(one) if _has_processor(one) else base_processor for head, one in folders.items()}
    own_vision = frozenset(head for head, config in configs.items() if config.modules_to_save)
    files = [*weights, *(f / name for f in folders.values() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))]
    files += [f / name for f in (folder, *folders.values()) for name in PROCESSOR_FILES if (f / name).is_file()]
    return Checkpoint(model, processors, own_vision, _digest(files))


def resolve_folder(field: str, path: str) -> Path:
    """A local folder, or the local copy of a hub repository."""
    if Path(path).is_dir():
        return Path(path)
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise BadInput(field, path, "an existing folder or a hub name such as Qwen/Qwen3-VL-8B-Instruct")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path))
    except Exception as error:  # the hub client raises many unrelated types: network, authorisation, not found
        raise BadInput(field, path, "an existing folder or a hub name that can be fetched", str(error)) from error


def _adapter_folder(folder: Path, head: RewardHead) -> Path:
    one = folder / head.value
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (one / name).is_file():
            raise BadInput(f"{head.value} adapter", str(one / name), "an existing file", "Give the folder as adapters.")
    return one


def _check_complete(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            list(file.keys())
    except (SafetensorError, OSError) as error:
        fix = f"It is damaged or cut short ({error}): fetch it again."
        raise BadInput("weights", str(path), "a complete safetensors file", fix) from error


def _load_base(folder: Path, dtype: torch.dtype) -> Any:
    hf_logging.disable_progress_bar()
    try:
        model, info = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    except (RuntimeError, ValueError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput("model", str(folder), "weights that fit config.json", reason[-1]) from error
    wrong = {name: info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(name)}
    if wrong:
        raise BadInput("model", str(folder), "weights that fit config.json", _first(wrong))
    return model


def _first(wrong: Mapping[str, Iterable[Any]]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {sorted(map(str, keys))[0]}" for name, keys in wrong.items())


def _adapter_config(folder: Path) -> LoraConfig:
    """Rank, alpha and targets as the file says. ``[visual, merger]`` overlap and are read as ``[visual]``."""
    try:
        values = json.loads((folder / ADAPTER_CONFIG).read_text())
        if set(values.get("modules_to_save") or ()) == {"visual", "merger"}:
            values["modules_to_save"] = ["visual"]
        values.pop("auto_mapping", None)
        return LoraConfig.from_peft_type(**{**values, "inference_mode": True})
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput("adapter", str(folder / ADAPTER_CONFIG), "a LoRA configuration of PEFT", str(error)) from error


def _attach(base: Any, folders: Mapping[RewardHead, Path], configs: Mapping[RewardHead, LoraConfig]) -> PeftModel:
    model: PeftModel | None = None
    for head, folder in folders.items():
        try:
            if model is None:
                model = get_peft_model(base, configs[head], adapter_name=head.value, autocast_adapter_dtype=False)
            else:
                model.add_adapter(head.value, configs[head], autocast_adapter_dtype=False)
            tensors = load_file(folder / ADAPTER_WEIGHTS)
            set_peft_model_state_dict(model, dict(tensors), adapter_name=head.value)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise BadInput(f"{head.value} adapter", str(folder), "weights that fit the model", reason) from error
        _check_loaded(model, head, folder, tensors)
    assert model is not None
    return model


def _check_loaded(model: PeftModel, head: RewardHead, folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Every tensor of the file is in the model exactly once, none is missing, and some ``lora_B`` is not zero."""
    field, allowed = f"{head.value} adapter", "an adapter of which every tensor was loaded"
    loaded = get_peft_model_state_dict(model, adapter_name=head.value)
    if strange := sorted(set(tensors) - set(loaded)):
        raise BadInput(field, str(folder), allowed, f"Not used: {strange[0]} and {len(strange) - 1} more.")
    if missing := sorted(set(loaded) - set(tensors)):
        raise BadInput(field, str(folder), allowed, f"Not in the file: {missing[0]} and {len(missing) - 1} more.")
    for name, tensor in tensors.items():
        if tensor.shape != loaded[name].shape or not torch.equal(tensor.to(loaded[name].dtype), loaded[name].cpu()):
            raise BadInput(field, str(folder), allowed, f"{name} in the model differs from the file.")
    if not any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name):
        raise BadInput(field, str(folder), "a trained adapter", "All lora_B are zero: the base alone would answer.")


@torch.inference_mode()
def _check_effect(model: PeftModel) -> None:
    """The logits with each adapter differ from the base's."""
    ids = torch.arange(8, device=model.device)[None]
    with model.disable_adapter():
        base = model(input_ids=ids).logits
    for head in MODEL_HEADS:
        model.set_adapter(head.value, inference_mode=True)
        if torch.equal(model(input_ids=ids).logits, base):
            raise BadInput(f"{head.value} adapter", head.value, "an adapter that changes the model's output")


def _has_processor(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("tokenizer_config.json", "preprocessor_config.json"))


def _processor(folder: Path) -> Any:
    try:
        return AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput("processor", str(folder), "tokenizer and image processor files", str(error)) from error


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.parent.name}/{path.name}".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
