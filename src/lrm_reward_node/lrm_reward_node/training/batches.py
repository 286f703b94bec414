"""Batches on the device: prompts and samples are arrays there, a batch is a few gathers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrm_reward_node.training.pools import Pool
from lrm_reward_node.training.questions import PromptTable


@dataclass
class TextBatch:
    """Sequences with the same number of images each.

    Attributes:
        ids: (B, L) token ids, padded on the right.
        frames: (B, images) frames of the frame table.
        at: (M,) flat positions (row * L + column) whose next token is a target.
        tokens: (M, 2) two candidate next tokens; ``weights`` (M, 2) their probabilities times the position's weight.
        value: (M,) bool, the target is a value and not the answer's frame.
        pool: (B,) index of the pool each row was drawn from.
    """

    ids: Tensor
    frames: Tensor
    at: Tensor
    tokens: Tensor
    weights: Tensor
    value: Tensor
    pool: Tensor


FRAME_WEIGHT = 0.05
"""Weight of the answer's fixed tokens: they are learned at once, and are only needed for greedy decoding."""


class Batcher:
    """Draws batches from pools that share a prompt table."""

    def __init__(self, prompts: PromptTable, pools: Mapping[str, Pool], device: torch.device, seed: int) -> None:
        self.pools = dict(pools)
        self.images = prompts.images
        self.rng = np.random.default_rng(seed)
        self.device = device
        self.ids, self.spots, self.starts, self.ends = prompts.arrays()

    def reseed(self, seed: int) -> None:
        """Draw anew, the same batches for the same seed."""
        self.rng = np.random.default_rng(seed)

    def draw(self, counts: Mapping[str, int]) -> TextBatch:
        """A batch with ``counts[name]`` samples of each named pool."""
        parts = [
            (name, self.pools[name].samples, self.pools[name].draw(n, self.rng)) for name, n in counts.items() if n
        ]
        prompt, frames, tokens, weights = (
            np.concatenate([getattr(samples, column)[index] for _, samples, index in parts])
            for column in ("prompt", "frames", "tokens", "weights")
        )
        pool = np.concatenate([np.full(len(i), list(self.pools).index(name)) for name, _, i in parts])
        width = int(self.ends[prompt].max())
        ids, spots = self.ids[prompt, :width], self.spots[prompt]
        rows, which = np.nonzero(spots >= 0)
        likeliest = np.take_along_axis(tokens, weights.argmax(-1)[..., None], -1)[..., 0]
        ids[rows, spots[rows, which]] = likeliest[rows, which]
        columns = np.arange(width)
        fixed = (columns >= self.starts[prompt][:, None]) & (columns < self.ends[prompt][:, None])
        fixed[rows, spots[rows, which]] = False
        frame_rows, frame_columns = np.nonzero(fixed)
        at = np.concatenate((rows * width + spots[rows, which], frame_rows * width + frame_columns)) - 1
        frame_tokens = np.repeat(ids[frame_rows, frame_columns][:, None], 2, 1)
        frame_weights = np.full((len(frame_rows), 2), FRAME_WEIGHT / 2)
        arrays = {
            "ids": ids,
            "frames": frames,
            "at": at,
            "tokens": np.concatenate((tokens[rows, which], frame_tokens)),
            "weights": np.concatenate((weights[rows, which], frame_weights)).astype(np.float32),
            "value": np.arange(len(at)) < len(rows),
            "pool": pool,
        }
        return TextBatch(**{name: self._move(array) for name, array in arrays.items()})

    def _move(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor
