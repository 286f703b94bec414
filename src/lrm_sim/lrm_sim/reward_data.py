"""Simulated episodes for training and evaluating the reward model; ``lrm train reward-model`` finds them by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.collect import (
    REWARD_HELD_OUT_SEEDS,
    REWARD_TRAIN_SEEDS,
    SEED_RANGE,
    EpisodeSpec,
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
"""Split -> first scene seed and the (object, container) pairs in it."""


def reward_episodes(
    split: str, episodes: int, workers: int, every: int = 5, kinds: Sequence[str] = ()
) -> Iterator[EpisodeRecord]:
    """Episodes of one split, the same ones every time.

    Args:
        split: a name in :data:`SPLITS`.
        episodes: how many.
        workers: processes that simulate.
        every: keep each n-th control step; 5 makes two frames per reward query.
        kinds: what the expert sets out to do, in turn; empty: half successes and failures of all kinds.

    Raises:
        BadInput: there is no such split or kind.
    """
    return collect(split_specs(split, episodes, kinds), workers, every)


def split_specs(split: str, episodes: int, kinds: Sequence[str] = ()) -> list[EpisodeSpec]:
    """What :func:`reward_episodes` runs. Raises :class:`BadInput` as it does."""
    if split not in SPLITS:
        raise BadInput("split", split, f"one of {list(SPLITS)}")
    first_seed, pairs = SPLITS[split]
    return kind_specs(episodes, kinds, first_seed, pairs) if kinds else reward_specs(episodes, first_seed, pairs)
