"""Recordings that are no bags: LeRobotDatasets, videos and folders of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lrm_bringup.replay.events import EpisodeSeen, FrameSeen, Recording
from lrm_bringup.view.canvas import Canvas
from lrm_bringup.view.layout import CAMERAS, EVENTS, JOINTS, NUMBERS

_NS = 1_000_000_000
_JOINTS = {"observation.state": "measured", "action": "command"}
_NUMBERS = ("next.reward", "next.done", "next.success")
Progress = Callable[[int], None]


class FilmView:
    """A video or a folder of pictures, as :mod:`lrm_bringup.replay.sources` opens it."""

    def __init__(self, recording: Recording) -> None:
        self._recording, self.messages = recording, recording.frames

    def draw(self, canvas: Canvas, progress: Progress) -> list[str]:
        """Draw it; returns what was wrong with it, one line per problem."""
        done = 0
        for event in self._recording.events():
            canvas.at(event.log_ns, event.log_ns)
            if isinstance(event, FrameSeen):
                canvas.picture(f"{CAMERAS}/{event.frame.camera}", event.frame.rgb)
                progress(done := done + 1)
            elif isinstance(event, EpisodeSeen):
                canvas.event(f"{EVENTS}/episode", f"{event.episode_id} {'ENDED' if event.end_ns else 'RUNNING'}")
        return self._recording.problems


class EpisodeView:
    """One episode of a LeRobotDataset.

    Args:
        dataset: a :class:`lerobot.datasets.LeRobotDataset`.
        index: number of the episode.
    """

    def __init__(self, dataset: Any, index: int) -> None:
        self._dataset, episode = dataset, dataset.meta.episodes[index]
        self._rows = range(int(episode["dataset_from_index"]), int(episode["dataset_to_index"]))
        self.messages = len(self._rows)

    def draw(self, canvas: Canvas, progress: Progress) -> list[str]:
        """Draw it; a dataset has no problems of its own."""
        for done, row in enumerate(self._rows, 1):
            item = self._dataset[row]
            stamp_ns = round(float(item["timestamp"]) * _NS)
            canvas.at(stamp_ns or 1, stamp_ns)
            if done == 1:
                canvas.event(f"{EVENTS}/episode", f"“{item['task']}”")
            for key in self._dataset.meta.camera_keys:
                pixels = (item[key].permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
                canvas.picture(f"{CAMERAS}/{key.removeprefix('observation.images.')}", pixels)
            for group, series, value in self._values(item):
                canvas.curve(group, series, value)
            progress(done)
        return []

    def _values(self, item: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
        for key, series in _JOINTS.items():
            if key in item:
                values = item[key].reshape(-1).tolist()
                for name, value in zip(self._names(key, len(values)), values, strict=True):
                    yield f"{JOINTS}/{name}", series, value
        for key in _NUMBERS:
            if key in item:
                yield f"{NUMBERS}/episode", key, float(item[key])

    def _names(self, key: str, count: int) -> list[str]:
        """Names of the dimensions, as the dataset has them; it may have them in groups, or none."""
        names = self._dataset.meta.features[key].get("names")
        if isinstance(names, dict):
            names = [name for group in names.values() for name in group]
        return [str(name) for name in names] if names and len(names) == count else [f"joint_{i}" for i in range(count)]
