"""Episodes for the reward model, by split: what ``lrm train reward-model`` and the reward bench ask for."""

from __future__ import annotations

from collections.abc import Iterator

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.collect import REWARD_HELD_OUT_SEEDS, REWARD_TRAIN_SEEDS, SEED_RANGE, collect, reward_specs

_SPLITS = {
    "train": (REWARD_TRAIN_SEEDS, tasks.TRAIN_PAIRS),
    "held_out_seeds": (REWARD_HELD_OUT_SEEDS, tasks.TRAIN_PAIRS),
    "held_out_pairs": (REWARD_HELD_OUT_SEEDS + SEED_RANGE // 2, tasks.HELD_OUT_PAIRS),
}


def reward_episodes(split: str, episodes: int, workers: int, every: int = 5) -> Iterator[EpisodeRecord]:
    """Expert episodes, half of them meant to succeed.

    Args:
        split: ``train``; ``held_out_seeds`` (fresh scenes, trained pairs) or ``held_out_pairs`` (pairs never trained).
        episodes: how many.
        workers: processes.
        every: keep each n-th control step, and the last.
    """
    if split not in _SPLITS:
        raise BadInput("split", split, f"one of {sorted(_SPLITS)}")
    seed, pairs = _SPLITS[split]
    return collect(reward_specs(episodes, seed, pairs), workers, every)
