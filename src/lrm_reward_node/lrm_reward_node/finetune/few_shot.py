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
        found = [table["episode"].to_numpy() for table in samples.columns("episode")]
        rows, names = np.concatenate([np.zeros(0, np.int64), *found]), samples.episode_names
        train, test = (
            np.flatnonzero(np.isin(rows, [row for row, name in enumerate(names) if name in episodes]))
            for episodes in (self.chosen, self.rest)
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
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[EpisodeKey, bool] = {}
    tasks = set()
    for table in samples.columns("episode", "task", "made", "target"):
        of_others = pc.is_in(table["made"].cast("string"), pa.array(OF_OTHER_TASKS))
        whole = pa.table({name: table[name] for name in ("episode", "target")} | {"task": table["task"].cast("string")})
        own = whole.filter(pc.invert(of_others)).group_by(["episode", "task"])
        for row in own.aggregate([("target", "max")]).to_pylist():
            tasks.add(row["task"])
            if task in ("", row["task"]):
                key = samples.episode_names[row["episode"]]
                found[key] = found.get(key, False) or row["target_max"] > 0.5
    return found, tasks


def _hash(key: EpisodeKey) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()
