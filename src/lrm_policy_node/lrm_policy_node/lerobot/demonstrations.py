"""Demonstrations as arrays, from a LeRobotDataset or from any function that yields episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.features import image_key
from lrm_core.sources import source_function

STATE_KEY, ACTION_KEY = "observation.state", "action"


@dataclass(frozen=True)
class Demonstrations:
    """Frames of all episodes, one after the other.

    Attributes:
        images: per image feature (N, H, W, 3) uint8 RGB; sizes may differ.
        states: (N, J) float32, rad and m.
        actions: (N, J) float32, same order and units.
        last: (N,) int64, index of the last frame of the episode a frame belongs to.
        tasks: one sentence per episode.
    """

    images: dict[str, np.ndarray]
    states: np.ndarray
    actions: np.ndarray
    last: np.ndarray
    tasks: list[str]

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.tasks)


def from_records(records: Iterable[EpisodeRecord]) -> Demonstrations:
    """Collect episodes; raises BadInput when there is none or their shapes differ."""
    episodes = list(records)
    if not episodes:
        raise BadInput("demonstrations", "no episode", "at least one episode")
    first = _shapes(episodes[0])
    if other := next((found for one in episodes if (found := _shapes(one)) != first), None):
        raise BadInput("demonstrations", other, f"episodes of the shapes of the first, {first}")
    return Demonstrations(
        images={image_key(c): np.concatenate([e.images[c] for e in episodes]) for c in episodes[0].images},
        states=np.concatenate([e.states for e in episodes]).astype(np.float32),
        actions=np.concatenate([e.actions for e in episodes]).astype(np.float32),
        last=_last_of_each([len(e.states) for e in episodes]),
        tasks=[e.task for e in episodes],
    )


def from_source(source: str, arguments: dict[str, Any]) -> Demonstrations:
    """Demonstrations from the function ``module:function``, called with ``arguments``."""
    return from_records(source_function(source)(**arguments))


def from_dataset(root: Path) -> Demonstrations:
    """Read a LeRobotDataset (v3) folder whole into memory; needs ``lerobot[dataset]``."""
    if not (root / "meta" / "info.json").is_file():
        raise BadInput("dataset", str(root), "a LeRobotDataset folder", "Record one with: lrm record-demos")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset(root.name, root=root)
    keys = [str(key) for key in dataset.meta.camera_keys]
    missing = [key for key in (STATE_KEY, ACTION_KEY) if key not in dataset.features]
    if missing or not keys:
        raise BadInput("dataset", str(root), f"a dataset with {missing or 'images of at least one camera'}")
    columns: dict[str, list[np.ndarray]] = {key: [] for key in (STATE_KEY, ACTION_KEY, *keys)}
    episodes: list[int] = []
    tasks: dict[int, str] = {}
    for index in range(len(dataset)):
        frame = dataset[index]
        for key, column in columns.items():
            column.append(_to_uint8(frame[key]) if key in keys else np.asarray(frame[key], np.float32))
        episodes.append(int(frame["episode_index"]))
        tasks.setdefault(episodes[-1], str(frame["task"]))
    return Demonstrations(
        images={key: np.stack(columns.pop(key)) for key in keys},
        states=np.stack(columns[STATE_KEY]),
        actions=np.stack(columns[ACTION_KEY]),
        last=_last_of_each([episodes.count(episode) for episode in tasks]),
        tasks=list(tasks.values()),
    )


def _shapes(episode: EpisodeRecord) -> dict[str, tuple[int, ...]]:
    arrays = {**episode.images, "states": episode.states, "actions": episode.actions}
    return {name: array.shape[1:] for name, array in arrays.items()}


def _to_uint8(image: Any) -> np.ndarray:
    return np.rint(np.asarray(image).transpose(1, 2, 0) * 255.0).astype(np.uint8)


def _last_of_each(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.cumsum(lengths) - 1, lengths)
