"""Positions of tokens for Qwen3-VL's rotary embedding (temporal, row, column), vectorised over the batch."""

from __future__ import annotations

import torch
from torch import Tensor


def token_positions(ids: Tensor, image_token: int, rows: int, columns: int, mask: Tensor | None = None) -> Tensor:
    """Positions of sequences whose images all have ``rows`` x ``columns`` tokens.

    Args:
        ids: (B, L) token ids; every image is a run of ``rows * columns`` image tokens.
        mask: (B, L) 1 for real tokens, 0 for padding on the left; None: no padding on the left.

    Returns:
        (3, B, L) positions: text counts up in all three; an image stands at one temporal position, its tokens at their
        row and column; text goes on after the larger of the two.
    """
    image = ids == image_token
    order = (image.long().cumsum(1) - 1).clamp(min=0) % (rows * columns)
    step = torch.where(image, (order == rows * columns - 1).long() * max(rows, columns), torch.ones_like(ids))
    if mask is not None:
        step = step * mask
    start = step.cumsum(1) - step
    row = torch.where(image, order // columns, torch.zeros_like(ids))
    column = torch.where(image, order % columns, torch.zeros_like(ids))
    return torch.stack((start, start + row, start + column))
