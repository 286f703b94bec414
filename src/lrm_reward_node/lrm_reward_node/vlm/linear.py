"""Linear layers on a processor by oneDNN.

torch hands 32 bit products to MKL, which leaves the wide vector units of some processors unused; oneDNN, which torch
also brings, uses them. Measured on one thread of a processor with AVX-512: 105 against 235 GFLOP/s.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(module: Any, inputs: Tensor) -> Tensor:
    """``module(inputs)``; by oneDNN where it can: a plain layer in 32 bit on a processor, without gradients."""
    plain = type(module) is nn.Linear and inputs.dtype is torch.float32 and inputs.device.type == "cpu"
    if not (_AVAILABLE and plain and len(inputs)) or torch.is_grad_enabled():
        return module(inputs)
    return torch.ops.mkldnn._linear_pointwise(inputs, module.weight, module.bias, "none", [], "")
