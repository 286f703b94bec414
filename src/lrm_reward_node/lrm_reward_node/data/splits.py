"""Which episode belongs to which split: a hash of what must not part decides, so the division is stable."""

from __future__ import annotations

import hashlib

from lrm_core.errors import BadInput
from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.manifest import SPLIT_NAMES, Splits
from lrm_reward_node.data.meanings import Meanings


def key_of(facts: Facts, by: str, meanings: Meanings) -> str:
    """What never stands in two splits: the recording, the task in any words or the scene; empty where it is unknown.

    A recording goes by its group alone, so that two sources may read two cameras of it.
    """
    if by == "episode":
        return facts.group
    return meanings.of(facts.episode.task) if by == "task" else facts.episode.scene


def assigned(splits: Splits, meanings: Meanings) -> dict[str, str]:
    """Key -> split of what is put there by hand.

    Raises:
        BadInput: two sentences of one meaning are put into two splits.
    """
    found: dict[str, str] = {}
    for name, split in splits.assign.items():
        key = meanings.of(name) if splits.by == "task" else name
        if found.setdefault(key, split) != split:
            raise BadInput("splits.assign", name, f"{found[key]}, where a sentence of the same meaning is put")
    return found


def split_of(key: str, splits: Splits, meanings: Meanings) -> str:
    """The split of a key: as assigned by hand, else by its hash."""
    by_hand = assigned(splits, meanings)
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
