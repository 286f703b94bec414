"""How near to the limits of a device a piece of work comes: operations and bytes counted, ceilings measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

REPEATS = 10
LOOKUPS = {torch.ops.aten.embedding.default, torch.ops.aten.index.Tensor, torch.ops.aten.gather.default}
"""They read of their first input what they write, not all of it."""
FREE = {torch.ops.aten._unsafe_view.default, torch.ops.aten.empty.memory_format, torch.ops.aten.empty_like.default}


class WorkCounter(TorchDispatchMode):
    """Counts what torch does while it is active.

    Attributes:
        flops: floating-point operations of matrix products and attention; a multiply-add is two.
        bytes: every operation's inputs read once and outputs written once; views are free.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        count = flop_registry.get(func._overloadpacket)
        if count is None:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if count is not None:
            self.flops += count(*args, **kwargs, out_val=out)
        elif "_linear_pointwise" in func.name():
            self.flops += 2 * args[0].numel() * args[1].shape[0]
        if func not in FREE and not _is_view(func):
            read = (out, args[1:]) if func in LOOKUPS else (args, kwargs)
            self.bytes += sum(_moved(leaf) for leaf in tree_leaves((read, out)))
        return out


def _is_view(func: Any) -> bool:
    return any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)


def _moved(leaf: Any) -> int:
    return leaf.nbytes if isinstance(leaf, Tensor) else 0


def ceilings(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Measured on ``device``: operations per second of a large matrix product, bytes per second of a large copy."""
    large = torch.device(device).type == "cuda"
    side, elements = (8192, 2**30) if large else (1024, 2**24)
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.randn(elements, device=device).to(dtype)
    target = torch.empty_like(source)
    return {
        "flops_per_s": 2.0 * side**3 / median_s(lambda: one @ other, device),
        "bytes_per_s": 2.0 * source.nbytes / median_s(lambda: target.copy_(source), device),
    }


def median_s(work: Callable[[], object], device: str) -> float:
    """Median seconds of ``work``, the device's own time included."""
    seconds = []
    for _ in range(REPEATS + 3):
        finish(device)
        started = time.perf_counter()
        work()
        finish(device)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[3:]))


def finish(device: str) -> None:
    """Wait until ``device`` has done what it was told to."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
