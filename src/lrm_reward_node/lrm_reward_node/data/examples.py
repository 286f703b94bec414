"""A few samples of every kind, to be looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lrm_reward_node.data.samples import Sample, Samples

PER_KIND = 4
_GROUPS = 8
"""Row groups that are looked through: the first 131,072 samples."""


def examples(samples: Samples, per_kind: int = PER_KIND) -> Iterator[tuple[str, list[Sample]]]:
    """(made, samples) for every way in which answers were made, spread over what there is of it."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, made in enumerate(samples.made(_GROUPS)):
        found[made].append(index)
    for made, rows in sorted(found.items()):
        count = min(per_kind, len(rows))
        yield made, [samples[rows[(2 * i + 1) * len(rows) // (2 * count)]] for i in range(count)]
