"""Loading a Qwen3-VL backbone and its LoRA adapters, and proving that they were loaded.

The trap: an adapter that is attached to a model already placed on devices keeps ``lora_B`` at zero without a warning,
and the plain base is served. So: load on the CPU, attach, compare every tensor with its file, then move.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration
from transformers.utils import logging as hf_logging

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.vlm.proof import (
    HeadProof,
    check_effect,
    check_loaded,
    largest_difference,
    lora_b_names,
    probe_features,
    probe_logits,
)

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A backbone with its adapters, checked.

    Attributes:
        model: PEFT model with one adapter per head, named as the head.
        processors: ``Qwen3VLProcessor`` of each head that ``model`` answers.
        own_vision: heads whose adapter brings its own vision tower.
        digest: sha256 over all weight and processor files, hexadecimal.
        proofs: what was checked, per head, merged ones included.
        merged: heads that are whole models of their own (see :mod:`lrm_reward_node.vlm.merging`), each a checkpoint
            with that one head; ``model`` does not answer them.
    """

    model: PeftModel
    processors: Mapping[RewardHead, Any]
    own_vision: frozenset[RewardHead]
    digest: str
    proofs: Mapping[RewardHead, HeadProof] = field(default_factory=dict)
    merged: Mapping[RewardHead, Checkpoint] = field(default_factory=dict)


def load_checkpoint(path: str, adapters: str | None, device: str, dtype: str) -> Checkpoint:
    """Load backbone ``path`` and the heads in the folder ``adapters`` (default: inside ``path``).

    Args:
        path: local folder or hub name of the backbone.
        adapters: local folder or hub name with the sub-folders contrastive, progress and completion; each holds an
            adapter, or a whole model with its adapter merged in.
        device: torch device.
        dtype: float32, bfloat16 or float16.

    Raises:
        BadInput: a file is missing, damaged or of another shape.
        HalfLoaded: the files are there, but a head's weights did not load or change nothing.
    """
    if dtype not in DTYPES:
        raise BadInput("dtype", dtype, f"one of {sorted(DTYPES)}")
    folder = resolve_folder("model", path)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BadInput("model", path, "a folder with config.json and *.safetensors")
    adapter_folder = resolve_folder("adapters", adapters) if adapters else folder
    folders = {head: _head_folder(adapter_folder, head) for head in MODEL_HEADS}
    files = [*weights, *(file for one in folders.values() for file in head_files(one))]
    for file in files:
        if file.suffix == ".safetensors":
            _check_complete(file)
    files += [f / name for f in (folder, *folders.values()) for name in PROCESSOR_FILES if (f / name).is_file()]
    whole = {head: one for head, one in folders.items() if is_merged(one)}
    checkpoint = _with_adapters(folder, {h: f for h, f in folders.items() if h not in whole}, device, DTYPES[dtype])
    checkpoint = replace(checkpoint, digest=_digest(files))
    for head, one in whole.items():
        checkpoint = _with_merged(checkpoint, head, one, device, DTYPES[dtype])
    return checkpoint


def _with_adapters(folder: Path, folders: Mapping[RewardHead, Path], device: str, dtype: torch.dtype) -> Checkpoint:
    if not folders:
        raise BadInput("adapters", str(folder), "at least one head that is an adapter of the base")
    base = load_backbone(folder, dtype)
    configs = {head: _adapter_config(one) for head, one in folders.items()}
    model, files = _attach(base, folders, configs)
    model.eval().requires_grad_(False)
    model.to(device)
    base_processor = load_processor(folder, base.config)
    processors = {
        head: load_processor(one, base.config) if _has_processor(one) else base_processor
        for head, one in folders.items()
    }
    own_vision = frozenset(head for head, config in configs.items() if config.modules_to_save)
    proofs = {
        head: _adapter_proof(model, head, configs[head], files[head], _has_processor(one))
        for head, one in folders.items()
    }
    return Checkpoint(model, processors, own_vision, "", proofs)


def _with_merged(main: Checkpoint, head: RewardHead, folder: Path, device: str, dtype: torch.dtype) -> Checkpoint:
    """``main`` with ``head`` answered by the whole model in ``folder``.

    It gets an adapter that changes nothing, so that it is served by the same code as any other.
    """
    backbone = load_backbone(folder, dtype)
    nothing = LoraConfig(r=1, target_modules=["q_proj"], init_lora_weights=True, inference_mode=True)
    model = get_peft_model(backbone, nothing, adapter_name=head.value, autocast_adapter_dtype=False)
    model.eval().requires_grad_(False)
    model.to(device)
    with main.model.disable_adapter():
        base_logits, base_features = probe_logits(main.model), probe_features(main.model)
    vision_change = largest_difference(probe_features(model), base_features)
    proof = HeadProof(
        merged=True, rank=0, alpha=0.0, targets=(), modules_to_save=(), tensors=_count(folder), lora_b=0,
        zero_lora_b=(), logit_change=check_effect(head, probe_logits(model), base_logits),
        vision_change=vision_change, own_vision=vision_change > 0.0, own_processor=True,
    )  # fmt: skip
    processor = load_processor(folder, backbone.config)
    alone = Checkpoint(model, {head: processor}, frozenset(), main.digest, {head: proof})
    return replace(main, merged={**main.merged, head: alone}, proofs={**main.proofs, head: proof})


def _adapter_proof(
    model: PeftModel, head: RewardHead, config: LoraConfig, tensors: AdapterFile, own_processor: bool
) -> HeadProof:
    own_vision = bool(config.modules_to_save)
    with model.disable_adapter():
        base_logits, base_features = probe_logits(model), probe_features(model) if own_vision else None
    model.set_adapter(head.value, inference_mode=True)
    return HeadProof(
        merged=False,
        rank=config.r,
        alpha=float(config.lora_alpha),
        targets=tuple(sorted(config.target_modules)),
        modules_to_save=tuple(config.modules_to_save or ()),
        tensors=tensors.count,
        lora_b=tensors.lora_b,
        zero_lora_b=tensors.zero_lora_b,
        logit_change=check_effect(head, probe_logits(model), base_logits),
        vision_change=0.0 if base_features is None else largest_difference(probe_features(model), base_features),
        own_vision=own_vision,
        own_processor=own_processor,
    )


def model_dtype(name: str) -> torch.dtype:
    """The number format called ``name``; raises :class:`BadInput` when there is none."""
    if name not in DTYPES:
        raise BadInput("dtype", name, f"one of {sorted(DTYPES)}")
    return DTYPES[name]


def weights_digest(folder: Path) -> str:
    """sha256 over the weight, configuration and processor files of one folder, hexadecimal."""
    names = ("config.json", *PROCESSOR_FILES)
    return _digest([*sorted(folder.glob("*.safetensors")), *(folder / n for n in names if (folder / n).is_file())])


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


def _head_folder(folder: Path, head: RewardHead) -> Path:
    one = folder / head.value
    if is_merged(one):
        return one
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (one / name).is_file():
            raise BadInput(f"{head.value} adapter", str(one / name), "an existing file", "Give the folder as adapters.")
    return one


def is_merged(folder: Path) -> bool:
    """True when ``folder`` holds a whole model and no adapter."""
    adapter = any((folder / name).is_file() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    return not adapter and (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def head_files(folder: Path) -> list[Path]:
    """Configuration and weights of one head."""
    if is_merged(folder):
        return [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]


def _count(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            total += len(list(file.keys()))
    return total


def _check_complete(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            list(file.keys())
    except (SafetensorError, OSError) as error:
        fix = f"It is damaged or cut short ({error}): fetch it again."
        raise BadInput("weights", str(path), "a complete safetensors file", fix) from error


def load_backbone(folder: Path, dtype: torch.dtype) -> Any:
    """A ``Qwen3VLForConditionalGeneration`` on the CPU of which every tensor was in the file and used.

    Raises:
        BadInput: the weights do not fit config.json.
    """
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


@dataclass(frozen=True)
class AdapterFile:
    """Counts of an adapter file: tensors, ``lora_B`` matrices, and the modules whose ``lora_B`` is all zero."""

    count: int
    lora_b: int
    zero_lora_b: tuple[str, ...]


def _attach(
    base: Any, folders: Mapping[RewardHead, Path], configs: Mapping[RewardHead, LoraConfig]
) -> tuple[PeftModel, dict[RewardHead, AdapterFile]]:
    model: PeftModel | None = None
    files = {}
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
        zero = check_loaded(model, head, folder, tensors)
        files[head] = AdapterFile(len(tensors), len(lora_b_names(tensors)), zero)
    assert model is not None
    return model, files


def _has_processor(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("tokenizer_config.json", "preprocessor_config.json"))


def load_processor(folder: Path, config: Any) -> Any:
    """The processor in ``folder``, for a model of ``config``.

    Raises:
        BadInput: files are missing, or belong to another model.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput("processor", str(folder), "tokenizer and image processor files", str(error)) from error
    vision, images = config.vision_config, processor.image_processor
    pairs = {
        "image token": (getattr(processor, "image_token_id", None), config.image_token_id),
        "patch size": (getattr(images, "patch_size", None), vision.patch_size),
        "merge size": (getattr(images, "merge_size", None), vision.spatial_merge_size),
    }
    for name, (found, wanted) in pairs.items():
        if found != wanted:
            raise BadInput("processor", str(folder), "the model's own", f"Its {name} is {found}, not {wanted}.")
    if len(processor.tokenizer) > config.text_config.vocab_size:
        fix = f"It has {len(processor.tokenizer)} tokens, the model {config.text_config.vocab_size}."
        raise BadInput("processor", str(folder), "the model's own", fix)
    return processor


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.parent.name}/{path.name}".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
