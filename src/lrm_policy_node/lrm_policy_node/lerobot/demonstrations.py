"""Demonstrations as arrays, from a LeRobotDataset or from any function that yields episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.sources import source_function

CAMERAS = ("front", "wrist")
STATE_KEY, ACTION_KEY = "observation.state", "action"


def image_key(camera: str) -> str:
    """Key of a camera in a LeRobotDataset."""
    return f"observation.images.{camera}"


@dataclass(frozen=True)
class Demonstrations:
    """Frames of all episodes, one after the other.

    Attributes:
        images: per camera (N, H, W, 3) uint8 RGB.
        states: (N, 6) float32, rad and m.
        actions: (N, 6) float32, same order and units.
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
    shapes = {(e.front.shape[1:], e.wrist.shape[1:], e.states.shape[1:], e.actions.shape[1:]) for e in episodes}
    if len(shapes) > 1:
        raise BadInput("demonstrations", sorted(shapes), "episodes of one shape")
    return Demonstrations(
        images={camera: np.concatenate([getattr(e, camera) for e in episodes]) for camera in CAMERAS},
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
    missing = [key for key in (*map(image_key, CAMERAS), STATE_KEY, ACTION_KEY) if key not in dataset.features]
    if missing:
        raise BadInput("dataset", str(root), f"a dataset with {missing}")
    frames = [dataset[index] for index in range(len(dataset))]
    lengths = [int(n) for n in np.bincount([int(frame["episode_index"]) for frame in frames])]
    firsts = np.cumsum([0, *lengths[:-1]])
    return Demonstrations(
        images={c: np.stack([_to_uint8(frame[image_key(c)]) for frame in frames]) for c in CAMERAS},
        states=np.stack([np.asarray(frame[STATE_KEY], np.float32) for frame in frames]),
        actions=np.stack([np.asarray(frame[ACTION_KEY], np.float32) for frame in frames]),
        last=_last_of_each(lengths),
        tasks=[str(frames[first]["task"]) for first in firsts],
    )


def _to_uint8(image: Any) -> np.ndarray:
    return np.rint(np.asarray(image).transpose(1, 2, 0) * 255.0).astype(np.uint8)


def _last_of_each(lengths: list[int]) -> np.ndarray:
    return np.repeat(np.cumsum(lengths) - 1, lengths)
