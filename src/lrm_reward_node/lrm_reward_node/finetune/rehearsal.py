"""Old tasks beside a few episodes of a new one: drawn from, lest they be forgotten, and measured before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.data.samples import Sample, Samples, open_samples
from lrm_reward_node.finetune.config import Rehearsal
from lrm_reward_node.finetune.few_shot import FewShot
from lrm_reward_node.finetune.questions import Items


class Mixture:
    """Samples of several kinds as one, each kind drawn as often as its share says; read like :class:`Samples`.

    Attributes:
        weights: (N,) how often each sample is to be drawn; those of a kind add up to its share.
    """

    def __init__(self, kinds: Sequence[tuple[Items, float]]) -> None:
        self._items = ConcatDataset([items for items, _ in kinds])
        self.weights = np.concatenate([share * items.weights / items.weights.sum() for items, share in kinds])

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = self._items[index].sample
        return sample

    def question(self, index: int) -> Sample:
        """A sample without its pictures."""
        kind = int(np.searchsorted(self._items.cumulative_sizes, index, side="right"))
        before = self._items.cumulative_sizes[kind - 1] if kind else 0
        items: Any = self._items.datasets[kind]
        found: Sample = items.samples.question(int(items.index[index - before]))
        return found


def check_old(folder: Path, few_shot: FewShot, new_split: str, rehearsal: Rehearsal) -> None:
    """Raise :class:`BadInput` where the new task is among the old ones: more than a few episodes would be seen."""
    new = {meaning for task, meaning in _meanings(folder, new_split).items() if task in few_shot.tasks}
    for key, split in (("split", rehearsal.split if rehearsal.share else ""), ("check", rehearsal.check)):
        if not split:
            continue
        if split == new_split:
            raise BadInput(f"rehearsal.{key}", split, "another split than that of the new task", "See --split.")
        both = sorted(task for task, meaning in _meanings(folder, split).items() if meaning in new)
        if both:
            fix = "Give the source of the new task a split of its own, as config/data/few-shot.yaml does."
            raise BadInput(f"rehearsal.{key}", split, f"a split without the new task; {both[0]!r} means the same", fix)


def _meanings(folder: Path, split: str) -> dict[str, str]:
    """Sentence -> meaning of the tasks of a split."""
    return open_samples(folder, RewardHead.COMPLETION.value, split).tasks()


def rehearsed(new: Items, folder: Path, head: RewardHead, rehearsal: Rehearsal) -> tuple[Items, dict[str, int]]:
    """What is drawn from, and how many old samples are in it by the name that a plan shows."""
    if not rehearsal.share:
        return new, {}
    old = Items(_opened(folder, head, "split", rehearsal.split))
    mixed = Mixture([(new, 1.0 - rehearsal.share), (old, rehearsal.share)])
    return Items(mixed), {f"old tasks, {100.0 * rehearsal.share:.0f} % of the draws": len(old)}


def old_held_out(folder: Path, head: RewardHead, rehearsal: Rehearsal) -> Items | None:
    """Samples of the old tasks to measure on; None where nobody asks."""
    return Items(_opened(folder, head, "check", rehearsal.check), scored=True) if rehearsal.check else None


def _opened(folder: Path, head: RewardHead, key: str, split: str) -> Samples:
    samples = open_samples(folder, head.value, split)
    if not len(samples):
        fix = (
            "Add a source of the old tasks with this split to the manifest, as config/data/few-shot.yaml does, or set "
            "share to 0 and check to '' in a --config of your own: then they are forgotten, and nobody knows how much."
        )
        raise BadInput(f"rehearsal.{key}", split, f"a split with samples of {head.value} for the old tasks", fix)
    return samples
