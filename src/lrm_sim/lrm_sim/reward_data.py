"""Simulated episodes for training and evaluating the reward model; ``lrm train reward-model`` finds them by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.collect import (
    REWARD_HELD_OUT_SEEDS,
    REWARD_TRAIN_SEEDS,
    SEED_RANGE,
    collect,
    kind_specs,
    reward_specs,
)

SPLITS = {
    "train": (REWARD_TRAIN_SEEDS, tasks.TRAIN_PAIRS),
    "held_out_seeds": (REWARD_HELD_OUT_SEEDS, tasks.TRAIN_PAIRS),
    "held_out_pairs": (REWARD_HELD_OUT_SEEDS + SEED_RANGE // 2, tasks.HELD_OUT_PAIRS),
    "calibration": (REWARD_HELD_OUT_SEEDS + SEED_RANGE // 4, tasks.TRAIN_PAIRS),
    "hack": (REWARD_HELD_OUT_SEEDS + 3 * SEED_RANGE // 4, tasks.TRAIN_PAIRS),
}
"""Split of the demo's twelve tasks -> first scene seed and the (object, container) pairs in it."""
FAMILY_OF = {"train": "family", "held_out_seeds": "family_seeds", "calibration": "family_calibration"}
"""Split of the family that takes the place of one of the demo's tasks; the others stay as they are."""


def reward_episodes(
    split: str, episodes: int, workers: int, every: int = 5, kinds: Sequence[str] = (), first: int = 0
) -> Iterator[EpisodeRecord]:
    """Episodes of one split, the same ones every time.

    Args:
        split: a name in :data:`SPLITS` or in :data:`lrm_sim.family.splits.SPLITS`.
        episodes: how many.
        workers: processes that simulate.
        every: keep each n-th control step; 5 makes two frames per reward query.
        kinds: what the expert sets out to do, in turn; empty: half successes and failures of all kinds.
        first: how many of the split's episodes are left out at its start.

    Raises:
        BadInput: there is no such split or kind.
    """
    specs = any_specs(split, episodes, kinds, first)
    if split in SPLITS:
        return collect(specs, workers, every)
    from lrm_sim.family import episodes as family

    return family.collect(specs, workers, every)


def any_specs(split: str, episodes: int, kinds: Sequence[str] = (), first: int = 0) -> Any:
    """What :func:`reward_episodes` runs: specifications of the demo's tasks, or of the family; raises as it does."""
    if split in SPLITS:
        first_seed, pairs = SPLITS[split]
        n = first + episodes
        specs = kind_specs(n, kinds, first_seed, pairs) if kinds else reward_specs(n, first_seed, pairs)
        return specs[first:]
    from lrm_sim.family import splits

    if split not in splits.SPLITS:
        raise BadInput("split", split, f"one of {[*SPLITS, *splits.SPLITS]}")
    return splits.SPLITS[split].specs(episodes, kinds, first)


def family_episodes(
    split: str, episodes: int, workers: int, every: int = 5, kinds: Sequence[str] = (), first: int = 0
) -> Iterator[EpisodeRecord]:
    """As :func:`reward_episodes`, the training and calibration splits being those of the widened family."""
    return reward_episodes(FAMILY_OF.get(split, split), episodes, workers, every, kinds, first)
