"""Attention of a block of rows whose lengths are equal, by the fused kernel that fits device and mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import CausalBias, causal_lower_right

if TYPE_CHECKING:
    from lrm_reward_node.vlm.text import Block


@dataclass(frozen=True)
class Sight:
    """What the query tokens of a block see of its keys.

    Attributes:
        queries: query tokens of each row, its last ones.
        keys: tokens of each row, past included.
        mask: (queries, keys) true, or 0.0, where a token is seen; None: each sees itself and all before.
    """

    queries: int
    keys: int
    mask: Tensor | None = None

    @staticmethod
    def of(block: Block, like: Tensor) -> Sight:
        """That of a whole block. ``like`` has the device and number format of the queries."""
        before = 0 if block.past is None else block.past.shape[-2]
        length, total = block.length, before + block.length
        if block.tree is None and before == 0:
            return Sight(length, total)
        if block.tree is None and like.is_cuda:
            return Sight(length, total, causal_lower_right(length, total))
        seen = torch.ones(length, total, dtype=torch.bool, device=like.device).tril(before)
        if block.tree is not None:
            seen[-len(block.tree) :, -len(block.tree) :] = block.tree
        if like.is_cuda:  # the kernel adds its mask: turned into numbers once, not in every layer
            return Sight(length, total, torch.zeros_like(seen, dtype=like.dtype).masked_fill_(~seen, float("-inf")))
        return Sight(length, total, seen)

    def last(self, queries: int) -> Sight:
        """That of the last ``queries`` tokens of each row."""
        if queries == 1:
            return Sight(1, self.keys)
        return Sight(queries, self.keys, None if self.mask is None else self.mask[-queries:])


def attend(query: Tensor, keys_values: Tensor, sight: Sight, scale: float) -> Tensor:
    """Scaled dot-product attention.

    Args:
        query: (rows, heads, queries, head).
        keys_values: (2, rows, key-value heads, keys, head).

    Returns:
        (rows, heads, queries, head)
    """
    options: dict[str, Any] = {"scale": scale, "is_causal": sight.mask is None and sight.queries == sight.keys}
    if query.is_cuda and (sight.mask is None or isinstance(sight.mask, CausalBias)):
        keys, values = keys_values
        options["enable_gqa"] = True  # the kernel for these shares keys and values among heads
    else:
        keys, values = keys_values.repeat_interleave(query.shape[1] // keys_values.shape[2], 2)
    return functional.scaled_dot_product_attention(query, keys, values, sight.mask, **options)
