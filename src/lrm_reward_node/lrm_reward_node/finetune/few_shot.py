"""A few episodes of a new task to train on, the others to measure on; the same choice every time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.data.samples import Samples
from lrm_reward_node.finetune.questions import Items

OF_OTHER_TASKS = ("wrong_sentence", "other_object")
"""Made failures whose sentence is not that of their episode."""

EpisodeKey = tuple[str, str]
"""Source and name of an episode."""


@dataclass(frozen=True)
class FewShot:
    """Which episodes are trained on, and which are left to measure on.

    Attributes:
        tasks: sentences of all of them.
        chosen, rest: episodes -> whether they succeeded.
    """

    tasks: tuple[str, ...]
    chosen: Mapping[EpisodeKey, bool]
    rest: Mapping[EpisodeKey, bool]

    def items(self, samples: Samples) -> tuple[Items, Items]:
        """Samples to train on, and samples to score."""
        keys = [_key(samples.origin(i)) for i in range(len(samples))]
        train, test = (
            np.flatnonzero([key in episodes for key in keys]).astype(np.int64) for episodes in (self.chosen, self.rest)
        )
        return Items(samples, train), Items(samples, test, scored=True)


def choose(samples: Mapping[RewardHead, Samples], count: int, task: str) -> FewShot:
    """``count`` episodes, successes and failures in turn as far as there are both, by a hash of their names.

    Args:
        samples: of one split, completion among them: it tells which episodes succeeded.
        count: episodes to train on.
        task: their sentence; empty: every task of the split.

    Raises:
        BadInput: there are too few episodes, none of this task, or none at all.
    """
    found, tasks = _episodes(samples[RewardHead.COMPLETION], task)
    if not tasks:
        split = samples[RewardHead.COMPLETION].split
        raise BadInput("--split", split, "a split with episodes", "lrm data report shows how many each has.")
    if not found:
        raise BadInput("--task", task, f"one of the tasks in the split: {sorted(tasks)}")
    if len(found) <= count:
        fix = f"The split has {len(found)}: record more, or train on fewer; the rest is what is measured on."
        raise BadInput("--episodes", count, "fewer episodes than the task has", fix)
    ordered = sorted(found, key=_hash)
    kinds = [[key for key in ordered if found[key]], [key for key in ordered if not found[key]]]
    chosen: list[EpisodeKey] = []
    while len(chosen) < count:
        for kind in kinds:
            if kind and len(chosen) < count:
                chosen.append(kind.pop(0))
    rest = {key: success for key, success in found.items() if key not in chosen}
    return FewShot(tuple(sorted(tasks)) if not task else (task,), {key: found[key] for key in chosen}, rest)


def _episodes(samples: Samples, task: str) -> tuple[dict[EpisodeKey, bool], set[str]]:
    """Episodes of the task -> whether a picture of them shows it done; and all sentences of the split."""
    found: dict[EpisodeKey, bool] = {}
    tasks = set()
    for i in range(len(samples)):
        sample = samples.question(i)
        if sample.origin["made"] in OF_OTHER_TASKS:
            continue
        tasks.add(sample.task)
        if task in ("", sample.task):
            key = _key(sample.origin)
            found[key] = found.get(key, False) or sample.target > 0.5
    return found, tasks


def tasks_of(samples: Samples) -> set[str]:
    """Sentences of the episodes of a split.

    Args:
        samples: of completion.
    """
    return _episodes(samples, "")[1]


def _key(origin: Mapping[str, object]) -> EpisodeKey:
    return str(origin["source"]), str(origin["episode"])


def _hash(key: EpisodeKey) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()
