"""Draws of training samples by weight: the same ones every time, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from lrm_core.errors import BadInput

_BLOCK = 65_536


class WeightedDraws(Sampler[int]):
    """``count`` indices with replacement, each with a probability proportional to its weight.

    One pass is the whole training: its order depends on weights and seed alone, and a run that is gone on with skips
    what it has had. Memory does not grow with ``count``.

    Raises:
        BadInput: a weight is negative or not finite, or none is above 0.
    """

    def __init__(self, weights: np.ndarray, count: int, seed: int) -> None:
        weights = np.asarray(weights, np.float64)
        if not len(weights) or not np.isfinite(weights).all() or (weights < 0.0).any() or not weights.any():
            raise BadInput("weights", weights, "finite numbers of at least 0, one of them above 0")
        self._edges = np.cumsum(weights) / weights.sum()
        self._last = int(np.flatnonzero(weights)[-1])
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.count, _BLOCK):
            drawn = rng.random(_BLOCK)[: self.count - start]
            found = np.minimum(np.searchsorted(self._edges, drawn, side="right"), self._last)  # rounding of the sum
            yield from found.tolist()
