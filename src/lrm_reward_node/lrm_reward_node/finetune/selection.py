"""Which samples of a training set each head is trained on, and which ones it is measured on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.data.samples import open_samples
from lrm_reward_node.data.summary import Summary
from lrm_reward_node.finetune.config import TrainConfig
from lrm_reward_node.finetune.few_shot import FewShot, choose
from lrm_reward_node.finetune.questions import Items
from lrm_reward_node.finetune.rehearsal import check_old, old_held_out, rehearsed


@dataclass(frozen=True)
class Selection:
    """Samples of one head.

    Attributes:
        training: what is drawn from.
        held_out: what is measured on; None: nothing.
        old: few-shot: samples of the old tasks, measured on too; None: none.
        counts: what ``training`` is made of -> samples.
        new, new_share: samples in ``training`` that are not of the old tasks, and their share of the draws.
    """

    training: Items
    held_out: Items | None
    old: Items | None
    counts: dict[str, int]
    new: int
    new_share: float = 1.0


def whole(folder: Path, summary: Summary, config: TrainConfig) -> dict[RewardHead, Selection]:
    """The split ``train``, measured on the split that the configuration names.

    Raises:
        BadInput: a head has nothing to train on or to be measured on.
    """
    if config.rehearsal.share or config.rehearsal.check:
        fix = "In a whole training the manifest says by weight how often which task is drawn."
        raise BadInput("rehearsal", config.rehearsal, "share 0 and check '' without --episodes", fix)
    found = {}
    for head in config.heads:
        training = _some(folder, head, Items(open_samples(folder, head.value, "train")))
        counts = by_source(summary.samples, head, "train")
        found[head] = Selection(training, _held_out(folder, head, config), None, counts, len(training))
    return found


def _held_out(folder: Path, head: RewardHead, config: TrainConfig) -> Items | None:
    if not config.evaluation.every:
        return None
    samples = open_samples(folder, head.value, config.evaluation.split)
    if not len(samples):
        fix = "Give it a share in the manifest, or set evaluation.every to 0: then nothing is held out."
        raise BadInput("evaluation.split", config.evaluation.split, f"a split with samples of {head.value}", fix)
    return Items(samples, scored=True).limited(config.evaluation.samples)


def few_episodes(
    folder: Path, config: TrainConfig, count: int, task: str, split: str
) -> tuple[FewShot, dict[RewardHead, Selection]]:
    """``count`` episodes of the new task with the old tasks that are rehearsed; see :func:`few_shot.choose`.

    Raises:
        BadInput: there are too few episodes, or no old ones where the configuration asks for them.
    """
    if config.evaluation.every:
        fix = "What is measured on must not choose a checkpoint: set it to 0."
        raise BadInput("evaluation.every", config.evaluation.every, "0 with --episodes", fix)
    samples = {head: open_samples(folder, head.value, split) for head in MODEL_HEADS}
    few_shot = choose(samples, count, task)
    check_old(folder, few_shot, split, config.rehearsal)
    found = {}
    for head in config.heads:
        new, rest = few_shot.items(samples[head])
        training, counts = rehearsed(_some(folder, head, new), folder, head, config.rehearsal)
        old, most = old_held_out(folder, head, config.rehearsal), config.evaluation.samples
        found[head] = Selection(
            training,
            rest.limited(most),
            old.limited(most) if old else None,
            {f"{len(few_shot.chosen)} episodes": len(new)} | counts,
            len(new),
            1.0 - config.rehearsal.share,
        )
    return few_shot, found


def by_source(rows: list[dict[str, Any]], head: RewardHead, split: str) -> dict[str, int]:
    """Source -> samples, from the rows of :class:`lrm_reward_node.data.summary.Summary`."""
    counts: Counter[str] = Counter()
    for row in rows:
        if (row["head"], row["split"]) == (head.value, split):
            counts[row["source"]] += row["count"]
    return dict(counts)


def _some(folder: Path, head: RewardHead, items: Items) -> Items:
    if not len(items):
        fix = "Leave the head out of heads, or build a training set that has it; lrm data report counts."
        raise BadInput("--data", str(folder), f"samples of {head.value} to train on", fix)
    return items
