"""Loading a Qwen3-VL backbone and its LoRA adapters, and proving that they were loaded.

The trap: an adapter that is attached to a model already placed on devices keeps ``lora_B`` at zero without a warning,
and the plain base is served. So: load on the CPU, attach, compare every tensor with its file, then move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import Qwen3VLForConditionalGeneration
from transformers.utils import logging as hf_logging

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.vlm.files import (
    ADAPTER_WEIGHTS,
    PROCESSOR_FILES,
    check_weights,
    digest_of,
    has_processor,
    head_files,
    head_folder,
    is_merged,
    resolve_folder,
    tensor_count,
    weight_files,
)
from lrm_reward_node.vlm.processor import check_same_vocabulary, load_processor
from lrm_reward_node.vlm.proof import (
    HeadProof,
    check_effect,
    check_loaded,
    largest_difference,
    lora_b_names,
    probe_features,
    probe_logits,
)
from lrm_reward_node.vlm.quantization import check_quantization, quantize
from lrm_reward_node.vlm.vetting import (
    check_different,
    check_finite,
    in_one_line,
    read_adapter_config,
    read_architecture,
)

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


@dataclass(frozen=True)
class Precision:
    """Where and how weights are held: torch device, number format, quantization of the language model."""

    device: str
    dtype: torch.dtype
    quantization: str

    def place(self, model: PeftModel) -> None:
        """Quantize and move a model that was loaded and compared with its files."""
        model.eval().requires_grad_(False)
        quantize(model, self.quantization)
        model.to(self.device)


def load_checkpoint(path: str, adapters: str | None, device: str, dtype: str, quantization: str = "none") -> Checkpoint:
    """Load backbone ``path`` and the heads in the folder ``adapters`` (default: inside ``path``).

    Args:
        path: local folder or hub name of the backbone.
        adapters: local folder or hub name with the sub-folders contrastive, progress and completion; each holds an
            adapter, or a whole model with its adapter merged in.
        device: torch device.
        dtype: float32, bfloat16 or float16.
        quantization: none, int8 or int4.

    Raises:
        BadInput: a file is missing, damaged or of another shape.
        HalfLoaded: the files are there, but a head's weights did not load or change nothing.
    """
    check_quantization(quantization)
    precision = Precision(device, model_dtype(dtype), quantization)
    folder = resolve_folder("model", path)
    weights = weight_files("model", folder)
    adapter_folder = resolve_folder("adapters", adapters) if adapters else folder
    folders = {head: head_folder(adapter_folder, head) for head in MODEL_HEADS}
    files = [*weights, *(file for one in folders.values() for file in head_files(one))]
    for file in files:
        if file.suffix == ".safetensors":
            check_weights(file)
    files += [f / name for f in (folder, *folders.values()) for name in PROCESSOR_FILES if (f / name).is_file()]
    whole = {head: one for head, one in folders.items() if is_merged(one)}
    checkpoint = _with_adapters(folder, {h: f for h, f in folders.items() if h not in whole}, precision)
    checkpoint = replace(checkpoint, digest=_digest(files, quantization))
    for head, one in whole.items():
        processor = one if has_processor(one) else folder
        checkpoint = _with_merged(checkpoint, head, one, processor, precision)
    return checkpoint


def _digest(files: Iterable[Path], quantization: str) -> str:
    """That of the files; quantized they are another function."""
    digest = digest_of(files)
    return digest if quantization == "none" else hashlib.sha256(f"{digest} {quantization}".encode()).hexdigest()


def _with_adapters(folder: Path, folders: Mapping[RewardHead, Path], precision: Precision) -> Checkpoint:
    if not folders:
        raise BadInput("adapters", str(folder), "at least one head that is an adapter of the base")
    check_different(folders)
    configs = {head: read_adapter_config(head, one) for head, one in folders.items()}
    architecture = read_architecture(folder)  # all that needs no weights comes first: they may take minutes
    base_processor = load_processor(folder, architecture)
    processors = {
        head: _own_processor(one, architecture, base_processor) if has_processor(one) else base_processor
        for head, one in folders.items()
    }
    model, files = _attach(load_backbone(folder, precision.dtype), folders, configs)
    precision.place(model)
    own_vision = frozenset(head for head, config in configs.items() if config.modules_to_save)
    proofs = {
        head: _adapter_proof(model, head, configs[head], files[head], has_processor(one))
        for head, one in folders.items()
    }
    return Checkpoint(model, processors, own_vision, "", proofs)


def _own_processor(folder: Path, config: Any, base: Any) -> Any:
    processor = load_processor(folder, config)
    check_same_vocabulary(processor, base, folder)
    return processor


def _with_merged(main: Checkpoint, head: RewardHead, folder: Path, processor: Path, precision: Precision) -> Checkpoint:
    """``main`` with ``head`` answered by the whole model in ``folder``.

    It gets an adapter that changes nothing, so that it is served by the same code as any other.
    """
    backbone = load_backbone(folder, precision.dtype)
    nothing = LoraConfig(r=1, target_modules=["q_proj"], init_lora_weights=True, inference_mode=True)
    model = get_peft_model(backbone, nothing, adapter_name=head.value, autocast_adapter_dtype=False)
    precision.place(model)
    with main.model.disable_adapter():
        base_logits, base_features = probe_logits(main.model), probe_features(main.model)
    logits, features = probe_logits(model), probe_features(model)
    if logits.shape != base_logits.shape or features.shape != base_features.shape:
        raise BadInput(f"{head.value} model", str(folder), "a copy of the base with the adapter merged in")
    vision_change = largest_difference(features, base_features)
    proof = HeadProof(
        merged=True, rank=0, alpha=0.0, targets=(), modules_to_save=(), tensors=tensor_count(folder), lora_b=0,
        zero_lora_b=(), logit_change=check_effect(head, logits, base_logits),
        vision_change=vision_change, own_vision=vision_change > 0.0, own_processor=processor == folder,
    )  # fmt: skip
    alone = Checkpoint(model, {head: load_processor(processor, backbone.config)}, frozenset(), main.digest)
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
        targets=_names(config.target_modules),
        modules_to_save=_names(config.modules_to_save),
        tensors=tensors.count,
        lora_b=tensors.lora_b,
        zero_lora_b=tensors.zero_lora_b,
        logit_change=check_effect(head, probe_logits(model), base_logits),
        vision_change=0.0 if base_features is None else largest_difference(probe_features(model), base_features),
        own_vision=own_vision,
        own_processor=own_processor,
    )


def _names(modules: str | Iterable[str] | None) -> tuple[str, ...]:
    """Module names, sorted; PEFT also takes one regular expression."""
    return (modules,) if isinstance(modules, str) else tuple(sorted(modules or ()))


def model_dtype(name: str) -> torch.dtype:
    """The number format called ``name``; raises :class:`BadInput` when there is none."""
    if name not in DTYPES:
        raise BadInput("dtype", name, f"one of {sorted(DTYPES)}")
    return DTYPES[name]


def load_backbone(folder: Path, dtype: torch.dtype) -> Any:
    """A ``Qwen3VLForConditionalGeneration`` on the CPU of which every tensor was in the file and used.

    Raises:
        BadInput: the weights do not fit config.json.
    """
    read_architecture(folder)
    hf_logging.disable_progress_bar()
    try:
        model, info = Qwen3VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, use_safetensors=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # transformers raises many unrelated types
        raise BadInput("model", str(folder), "weights that fit config.json", in_one_line(error)) from error
    wrong = {name: info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(name)}
    if wrong:
        raise BadInput("model", str(folder), "weights that fit config.json", _first(wrong))
    check_finite("model", folder, model.state_dict().items())
    return model


def _first(wrong: Mapping[str, Iterable[Any]]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {sorted(map(str, keys))[0]}" for name, keys in wrong.items())


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
            check_finite(f"{head.value} adapter", folder, tensors.items())
            set_peft_model_state_dict(model, dict(tensors), adapter_name=head.value)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise BadInput(f"{head.value} adapter", str(folder), "weights that fit the base", reason) from error
        zero = check_loaded(model, head, folder, tensors)
        files[head] = AdapterFile(len(tensors), len(lora_b_names(tensors)), zero)
    assert model is not None
    return model, files
