"""Which episode belongs to which split: a hash of what must not part decides, so the division is stable."""

from __future__ import annotations

import hashlib

from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.manifest import SPLIT_NAMES, Splits


def key_of(facts: Facts, by: str) -> str:
    """What never stands in two splits: the recording, the task sentence or the scene; empty where it is unknown.

    A recording goes by its group alone, so that two sources may read two cameras of it.
    """
    if by == "episode":
        return facts.group
    return normal(facts.episode.task) if by == "task" else facts.episode.scene


def normal(task: str) -> str:
    """A task sentence without what does not change its meaning: letter case, blanks, the full stop."""
    return " ".join(task.lower().split()).rstrip(". ")


def assigned(splits: Splits) -> dict[str, str]:
    """Key -> split of what is put there by hand."""
    return {normal(key) if splits.by == "task" else key: split for key, split in splits.assign.items()}


def split_of(key: str, splits: Splits) -> str:
    """The split of a key: as assigned by hand, else by its hash."""
    by_hand = assigned(splits)
    if key in by_hand:
        return by_hand[key]
    digest = hashlib.sha256(f"{splits.seed}:{splits.by}:{key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for name in SPLIT_NAMES:
        share = float(getattr(splits, name))
        if place < share:
            return name
        place -= share
    return next(name for name in SPLIT_NAMES if getattr(splits, name) > 0.0)  # the shares' rounding
