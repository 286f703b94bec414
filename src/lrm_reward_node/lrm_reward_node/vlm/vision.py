"""The vision tower of Qwen3-VL for a batch of images of one size.

``Qwen3VLVisionModel`` loops over the images in every attention layer, because its images may differ in size. Here all
have the same size, so the batch is one tensor: the same numbers, many times faster. A test holds both equal.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lrm_reward_node.vlm.linear import linear


def patchify(pixels: Tensor, patch: int, merge: int, temporal: int) -> Tensor:
    """Cut images into patches in the order of Qwen's image processor.

    Args:
        pixels: (N, 3, H, W) normalised floats; H and W multiples of ``patch * merge``.

    Returns:
        (N, H/patch * W/patch, 3 * temporal * patch * patch)
    """
    count, channels, height, width = pixels.shape
    rows, columns = height // patch, width // patch
    blocks = pixels.view(count, channels, rows // merge, merge, patch, columns // merge, merge, patch)
    blocks = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, temporal, -1, -1)
    return blocks.reshape(count, rows * columns, channels * temporal * patch * patch)


def encode_images(visual: Any, patches: Tensor, rows: int, columns: int) -> tuple[Tensor, list[Tensor]]:
    """Run the vision tower.

    Args:
        visual: ``Qwen3VLVisionModel``.
        patches: (N, rows * columns, D) from :func:`patchify`.

    Returns:
        Image tokens (N, rows * columns / merge², hidden) and the deepstack features, each of the same shape.
    """
    config = visual.config
    weight = visual.patch_embed.proj.weight
    hidden = functional.linear(patches, weight.flatten(1), visual.patch_embed.proj.bias)
    mixing, cos, sin = _positions(config, rows, columns, visual.pos_embed.num_embeddings, weight)
    hidden = hidden.to(weight.dtype) + mixing @ visual.pos_embed.weight
    deepstack = []
    for index, block in enumerate(visual.blocks):
        hidden = hidden + _attention(block.attn, block.norm1(hidden), cos, sin)
        hidden = hidden + _mlp(block.mlp, block.norm2(hidden))
        if index in config.deepstack_visual_indexes:
            merger = visual.deepstack_merger_list[list(config.deepstack_visual_indexes).index(index)]
            deepstack.append(_merge(merger, hidden))
    return _merge(visual.merger, hidden), deepstack


def _merge(merger: Any, hidden: Tensor) -> Tensor:
    """Norm and concatenate the patches of a token in the order that the merger was built with, then its two layers."""
    width = merger.hidden_size
    joined = hidden.reshape(len(hidden), -1, width)
    normed = merger.norm(joined if merger.use_postshuffle_norm else hidden).view(joined.shape)
    return linear(merger.linear_fc2, merger.act_fn(linear(merger.linear_fc1, normed)))


def _mlp(mlp: Any, hidden: Tensor) -> Tensor:
    return linear(mlp.linear_fc2, mlp.act_fn(linear(mlp.linear_fc1, hidden)))


def _attention(attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    query, key, value = linear(attention.qkv, hidden).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
    mixed = functional.scaled_dot_product_attention(query, key, value)
    return linear(attention.proj, mixed.transpose(1, 2).flatten(2))


def _rotate(tensor: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = tensor.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (tensor.float() * cos + turned * sin).to(tensor.dtype)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _grid(rows: int, columns: int, merge: int) -> Tensor:
    """(rows * columns, 2) row and column of each patch, block by block of merge x merge."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    cells = torch.stack((row, column), -1).view(rows // merge, merge, columns // merge, merge, 2)
    return cells.permute(0, 2, 1, 3, 4).reshape(-1, 2)


def _positions(config: Any, rows: int, columns: int, embeddings: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    head = config.hidden_size // config.num_heads
    return _tables_on(like.device, like.dtype, (rows, columns, config.spatial_merge_size, int(embeddings**0.5), head))


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # scoring fills the cache too, and training needs tensors that autograd takes
def _tables_on(
    device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    mixing, cos, sin = _position_tables(*shape)
    return mixing.to(device, dtype), cos.to(device), sin.to(device)


def _position_tables(rows: int, columns: int, merge: int, side: int, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bilinear weights of the learned positions (rows * columns, side²), and cosines and sines of the rotation."""
    cells = _grid(rows, columns, merge)
    weights = torch.ones(len(cells), side, side)
    for axis, count in enumerate((rows, columns)):
        at = torch.linspace(0, side - 1, count)[cells[:, axis]]
        near = (1.0 - (at[:, None] - torch.arange(side)).abs()).clamp(min=0.0)
        weights = weights * (near[:, :, None] if axis == 0 else near[:, None, :])
    frequencies = 1.0 / (10000.0 ** (torch.arange(0, head // 2, 2, dtype=torch.float) / (head // 2)))
    angles = (cells[:, :, None] * frequencies).flatten(1)
    angles = torch.cat((angles, angles), -1)
    return weights.flatten(1), angles.cos(), angles.sin()
