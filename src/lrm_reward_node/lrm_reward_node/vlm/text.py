"""The language model of Qwen3-VL for packed rows: several lengths and several LoRA adapters in one pass, no padding.

Linear layers see all tokens of all rows as one matrix; each adapter adds to its own span of it, and attention runs per
block of rows of one length. Same weights and numbers as ``Qwen3VLTextModel`` with one adapter at a time; a test holds
both equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from torch import Tensor
from torch.nn import functional

from lrm_core.errors import BadInput
from lrm_reward_node.vlm.linear import linear

Span = tuple[str, int, int]
"""Adapter, first row and end of its part of a matrix."""


@dataclass(frozen=True)
class Block:
    """Rows of one adapter and one length that lie one after the other.

    Attributes:
        adapter: name of the LoRA adapter.
        rows: how many.
        length: tokens of each row, those of ``past`` not counted.
        past: (layers, 2, rows, key-value heads, P, head) keys and values of the P tokens before, or None.
        mask: (length, P + length) true where a token attends; None: causal.
    """

    adapter: str
    rows: int
    length: int
    past: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Packed:
    """Tokens of all blocks, row after row.

    Attributes:
        embeds: (T, hidden) embeddings, pictures in place.
        positions: (3, T) temporal, row and column position.
        visual: (V,) indices of the picture tokens.
        deepstack: per deepstack layer (V, hidden), added to the picture tokens after the first layers.
    """

    embeds: Tensor
    positions: Tensor
    visual: Tensor
    deepstack: Sequence[Tensor] = ()


class PackedText:
    """``Qwen3VLTextModel`` with LoRA adapters, for packed rows.

    Raises:
        BadInput: an adapter is something else than plain LoRA on linear layers of the language model.
    """

    def __init__(self, language_model: Any) -> None:
        self.model = language_model
        for name, module in language_model.named_modules():
            plain = not isinstance(module, ModulesToSaveWrapper)
            if isinstance(module, LoraLayer):
                plain = not module.lora_variant and all(layer.bias is None for layer in module.lora_B.values())
            if not plain:
                raise BadInput("adapter", name, "plain LoRA on linear layers, without DoRA, bias or replaced modules")

    def forward(
        self, packed: Packed, blocks: Sequence[Block], *, keep_past: bool = False, last_only: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the layers.

        Args:
            packed: tokens of ``blocks``, in their order.
            blocks: what belongs together; neighbours of one adapter share one product with it.
            keep_past: also return keys and values.
            last_only: hidden states of each row's last token only; the last layer then computes little else.

        Returns:
            Normed hidden states, (rows, hidden) or (T, hidden), and per block the keys and values of its past and its
            own tokens, as in :class:`Block`; an empty list without ``keep_past``.
        """
        hidden, layers = packed.embeds, self.model.layers
        cos, sin = (part[0, :, None] for part in self.model.rotary_emb(hidden, packed.positions[:, None]))
        lengths = [block.length for block in blocks]
        masks = [_mask(block, hidden.device) for block in blocks]
        spans = _spans(blocks, lengths)
        past: list[list[Tensor]] = []
        for index, layer in enumerate(layers):
            normed = layer.input_layernorm(hidden)
            memory = _keys_values(layer.self_attn, normed, (cos, sin), spans, blocks, index)
            if last_only and index == len(layers) - 1:
                last = _last_tokens(blocks, hidden.device)
                hidden, normed, cos, sin = hidden[last], normed[last], cos[last], sin[last]
                lengths, masks = [1] * len(blocks), [None] * len(blocks)
                spans = _spans(blocks, lengths)
            hidden = hidden + _attend(layer.self_attn, normed, (cos, sin), spans, blocks, lengths, memory, masks)
            hidden = hidden + _mlp(layer.mlp, layer.post_attention_layernorm(hidden), spans)
            if index < len(packed.deepstack) and len(hidden) == len(packed.embeds):
                hidden = hidden.index_add(0, packed.visual, packed.deepstack[index].to(hidden.dtype))
            if keep_past:
                past.append(memory)
        return self.model.norm(hidden), [torch.stack(of_block) for of_block in zip(*past, strict=True)]


def _spans(blocks: Sequence[Block], lengths: Sequence[int]) -> list[Span]:
    return adapter_spans([(block.adapter, block.rows * length) for block, length in zip(blocks, lengths, strict=True)])


def adapter_spans(counts: Sequence[tuple[str, int]]) -> list[Span]:
    """Spans of neighbours with the same adapter, from adapter and number of matrix rows of each."""
    spans: list[Span] = []
    start = 0
    for adapter, count in counts:
        if spans and spans[-1][0] == adapter:
            spans[-1] = (adapter, spans[-1][1], start + count)
        else:
            spans.append((adapter, start, start + count))
        start += count
    return spans


def project(module: Any, inputs: Tensor, spans: Sequence[Span]) -> Tensor:
    """A linear layer, each span with its adapter (LoRA, Hu et al. 2021: W x + s B A x)."""
    if not isinstance(module, LoraLayer):
        return linear(module, inputs)
    outputs = linear(module.get_base_layer(), inputs)
    for adapter, start, end in spans:
        if adapter in module.lora_A:
            down, up = module.lora_A[adapter].weight, module.lora_B[adapter].weight
            low = functional.linear(inputs[start:end].to(down.dtype), down)
            outputs[start:end].addmm_(low.to(outputs.dtype), up.T.to(outputs.dtype), alpha=module.scaling[adapter])
    return outputs


def _mlp(mlp: Any, hidden: Tensor, spans: Sequence[Span]) -> Tensor:
    gated = mlp.act_fn(project(mlp.gate_proj, hidden, spans)) * project(mlp.up_proj, hidden, spans)
    return project(mlp.down_proj, gated, spans)


def _last_tokens(blocks: Sequence[Block], device: torch.device) -> Tensor:
    """(rows,) index of the last token of each row."""
    lengths = torch.tensor([block.length for block in blocks for _ in range(block.rows)], device=device)
    return lengths.cumsum(0) - 1


def _mask(block: Block, device: torch.device) -> Tensor | None:
    """The mask of attention, or None where plain causal attention does."""
    if block.mask is not None or block.past is None:
        return block.mask
    before = block.past.shape[-2]
    return torch.ones(block.length, before + block.length, dtype=torch.bool, device=device).tril(before)


def _keys_values(
    attention: Any,
    normed: Tensor,
    turn: tuple[Tensor, Tensor],
    spans: Sequence[Span],
    blocks: Sequence[Block],
    layer: int,
) -> list[Tensor]:
    """Per block (2, rows, key-value heads, P + length, head) keys and values of its past and its own tokens."""
    keys = project(attention.k_proj, normed, spans).unflatten(-1, (-1, attention.head_dim))
    keys = _rotate(attention.k_norm(keys), *turn)
    values = project(attention.v_proj, normed, spans).view(keys.shape)
    own = torch.stack((keys, values))
    memory, start = [], 0
    for block in blocks:
        end = start + block.rows * block.length
        part = own[:, start:end].unflatten(1, (block.rows, block.length)).transpose(2, 3)
        memory.append(part if block.past is None else torch.cat((block.past[layer], part), -2))
        start = end
    return memory


def _attend(
    attention: Any,
    normed: Tensor,
    turn: tuple[Tensor, Tensor],
    spans: Sequence[Span],
    blocks: Sequence[Block],
    lengths: Sequence[int],
    memory: Sequence[Tensor],
    masks: Sequence[Tensor | None],
) -> Tensor:
    """Attention of ``lengths`` query tokens per row, after the output projection."""
    queries = project(attention.q_proj, normed, spans).unflatten(-1, (-1, attention.head_dim))
    queries = _rotate(attention.q_norm(queries), *turn)
    mixed, start = [], 0
    for block, length, keys_values, mask in zip(blocks, lengths, memory, masks, strict=True):
        end = start + block.rows * length
        keys, values = keys_values.repeat_interleave(attention.num_key_value_groups, 2)
        query = queries[start:end].unflatten(0, (block.rows, length)).transpose(1, 2)
        causal = mask is None and length > 1
        one = functional.scaled_dot_product_attention(
            query, keys, values, mask, is_causal=causal, scale=attention.scaling
        )
        mixed.append(one.transpose(1, 2).reshape(end - start, -1))
        start = end
    return project(attention.o_proj, torch.cat(mixed), spans)


def _rotate(tensor: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = tensor.chunk(2, dim=-1)
    return tensor * cos + torch.cat((-second, first), dim=-1) * sin
