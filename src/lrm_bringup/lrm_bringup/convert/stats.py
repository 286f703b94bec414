"""Statistics of columns in which UNKNOWN is NaN: over what is known, in place of NaN throughout."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrm_bringup.convert.columns import HEADS, score_column

_COLUMNS = ("next.reward", *(score_column(head) for head in HEADS))


class KnownNumbers:
    """Collects the known numbers of the reward columns while rows are written."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {column: [] for column in _COLUMNS}

    def add(self, row: dict[str, Any]) -> None:
        """Take a row."""
        for column, values in self._values.items():
            if not np.isnan(number := float(row[column][0])):
                values.append(number)

    def correct(self, dataset: Any) -> None:
        """Write ``meta/stats.json`` again; a column of which nothing is known has no statistics.

        Those of single episodes stay as LeRobot wrote them: NaN where the episode holds an UNKNOWN.
        """
        from lerobot.datasets.compute_stats import get_feature_stats
        from lerobot.datasets.io_utils import write_stats

        stats = dict(dataset.meta.stats)
        for column, values in self._values.items():
            stats.pop(column, None)
            if values:
                stats[column] = get_feature_stats(np.array(values, np.float32), axis=0, keepdims=True)
        dataset.meta.stats = stats
        write_stats(stats, dataset.root)
