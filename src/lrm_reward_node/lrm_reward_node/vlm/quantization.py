"""The language model's weights in 8 or 4 bit, for cards too small for 16, by bitsandbytes (not installed by default).

``int8`` is LLM.int8() (Dettmers et al. 2022: rows of 8 bit, columns of large activations in 16), ``int4`` is NF4 in
blocks (Dettmers et al. 2023). Adapters, embeddings, the last layer and the vision towers keep their number format: the
adapters were trained beside exact weights, and the rest is small. Weights are compared with their files and adapters
attached before, so that the proofs of loading hold here too.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from torch import nn

from lrm_core.errors import BadInput
from lrm_reward_node.checkpoint import QUANTIZATIONS

LIBRARY = "bitsandbytes"
OUTLIER = 6.0
"""Columns with an activation as large are multiplied in 16 bit; the default of transformers."""


def check_quantization(name: str) -> None:
    """Raise :class:`BadInput` unless ``name`` is known and what it needs is installed."""
    if name not in QUANTIZATIONS:
        raise BadInput("quantization", name, f"one of {list(QUANTIZATIONS)}")
    if name != "none":
        _library(name)


def quantize(model: Any, name: str) -> None:
    """Replace the linear layers of the language model of ``model``; they are quantized when it is moved to its device.

    Args:
        model: PEFT model around ``Qwen3VLForConditionalGeneration``, on the CPU.
        name: int8 or int4; none changes nothing.
    """
    if name == "none":
        return
    library = _library(name)
    logging.getLogger(f"{LIBRARY}.autograd._functions").setLevel(logging.ERROR)  # one line per layer and call otherwise
    make = {"int8": _int8, "int4": _int4}[name]
    for parent in list(model.get_base_model().model.language_model.modules()):
        for child, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and not isinstance(parent, nn.ModuleDict):  # adapters lie in dictionaries
                setattr(parent, child, make(library, layer))


def _int8(library: Any, layer: nn.Linear) -> nn.Module:
    new = library.nn.Linear8bitLt(
        layer.in_features, layer.out_features, layer.bias is not None, has_fp16_weights=False, threshold=OUTLIER
    )
    new.weight = library.nn.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)
    new.bias = layer.bias
    return new.eval().requires_grad_(False)


def _int4(library: Any, layer: nn.Linear) -> nn.Module:
    new = library.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        layer.bias is not None,
        compute_dtype=layer.weight.dtype,
        quant_type="nf4",
    )
    new.weight = library.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
    new.bias = layer.bias
    return new.eval().requires_grad_(False)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(LIBRARY)
    except ImportError as error:
        fix = f"Install it into the environment: pip install {LIBRARY}"
        raise BadInput("quantization", name, f"none without the package {LIBRARY}", fix) from error
