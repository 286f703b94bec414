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
        tree: (N, N) true where one of the last N tokens of a row sees another of them; all else is causal.
    """

    adapter: str
    rows: int
    length: int
    past: Tensor | None = None
    tree: Tensor | None = None

    @property
    def answered(self) -> int:
        """Tokens at the end of each row whose hidden states are wanted: those of the tree, or the last one."""
        return 1 if self.tree is None else len(self.tree)


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
        self, packed: Packed, blocks: Sequence[Block], *, keep_past: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the layers; the last one computes little more than what is returned.

        Args:
            packed: tokens of ``blocks``, in their order.
            blocks: what belongs together; neighbours of one adapter share one product with it.
            keep_past: also return keys and values.

        Returns:
            Normed hidden states of the :attr:`Block.answered` tokens of each row, (N, hidden), and per block the keys
            and values of its past and its own tokens, as in :class:`Block`; an empty list without ``keep_past``.
        """
        hidden, layers = packed.embeds, self.model.layers
        cos, sin = turning(self.model.rotary_emb, packed)
        lengths = [block.length for block in blocks]
        masks = [_mask(block, hidden.device) for block in blocks]
        spans = _spans(blocks, lengths)
        past: list[list[Tensor]] = []
        for index, layer in enumerate(layers):
            normed = norm(layer.input_layernorm, hidden)
            memory = _keys_values(layer.self_attn, normed, (cos, sin), spans, blocks, index)
            if index == len(layers) - 1:
                last = _answered(blocks, hidden.device)
                hidden, normed, cos, sin = hidden[last], normed[last], cos[last], sin[last]
                lengths = [block.answered for block in blocks]
                masks = [_last(mask, length) for mask, length in zip(masks, lengths, strict=True)]
                spans = _spans(blocks, lengths)
            hidden = hidden + _attend(layer.self_attn, normed, (cos, sin), spans, blocks, lengths, memory, masks)
            hidden = hidden + _mlp(layer.mlp, norm(layer.post_attention_layernorm, hidden), spans)
            if index < len(packed.deepstack) and len(hidden) == len(packed.embeds):
                hidden = hidden.index_add(0, packed.visual, packed.deepstack[index].to(hidden.dtype))
            if keep_past:
                past.append(memory)
        return norm(self.model.norm, hidden), [torch.stack(of_block) for of_block in zip(*past, strict=True)]


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


def norm(module: Any, inputs: Tensor) -> Tensor:
    """Root mean square norm in one kernel; the module of transformers takes eight."""
    return functional.rms_norm(inputs, module.weight.shape, module.weight, module.variance_epsilon)


def turning(rotary: Any, packed: Packed) -> tuple[Tensor, Tensor]:
    """(T, 1, head) cosines and sines of the rotary embedding, the first half of the sines negated."""
    cos, sin = (part[0, :, None] for part in rotary(packed.embeds, packed.positions[:, None]))
    first, second = sin.chunk(2, -1)
    return cos, torch.cat((-first, second), -1)


def _mlp(mlp: Any, hidden: Tensor, spans: Sequence[Span]) -> Tensor:
    gated = mlp.act_fn(project(mlp.gate_proj, hidden, spans)) * project(mlp.up_proj, hidden, spans)
    return project(mlp.down_proj, gated, spans)


def _answered(blocks: Sequence[Block], device: torch.device) -> Tensor:
    """(N,) index of the last tokens of each row."""
    ends = torch.tensor([block.length for block in blocks for _ in range(block.rows)]).cumsum(0).tolist()
    counts = [block.answered for block in blocks for _ in range(block.rows)]
    wanted = [at for end, count in zip(ends, counts, strict=True) for at in range(end - count, end)]
    return torch.tensor(wanted).to(device, non_blocking=True)


def _mask(block: Block, device: torch.device) -> Tensor | None:
    """(length, P + length) true where a token attends, or None where plain causal attention does."""
    if block.tree is None and block.past is None:
        return None
    before = 0 if block.past is None else block.past.shape[-2]
    seen = torch.ones(block.length, before + block.length, dtype=torch.bool, device=device).tril(before)
    if block.tree is not None:
        seen[-len(block.tree) :, -len(block.tree) :] = block.tree
    return seen


def _last(mask: Tensor | None, queries: int) -> Tensor | None:
    """That of the last ``queries`` tokens of a row; the very last one sees everything."""
    return None if mask is None or queries == 1 else mask[-queries:]


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
    keys = _rotate(norm(attention.k_norm, keys), *turn)
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
    queries = _rotate(norm(attention.q_norm, queries), *turn)
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
    """Rotary embedding; the first half of ``sin`` carries the sign of the rotated half (see :func:`turning`)."""
    return (tensor * cos).addcmul_(tensor.roll(tensor.shape[-1] // 2, -1), sin)
