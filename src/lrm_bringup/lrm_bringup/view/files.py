"""Recordings that are no bags: LeRobotDatasets, videos and folders of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lrm_bringup.convert.columns import HEADS, STATUS, score_column
from lrm_bringup.convert.episode import NOT_ASKED
from lrm_bringup.datasets import read_row
from lrm_bringup.replay.events import EpisodeSeen, FrameSeen, Recording
from lrm_bringup.view.canvas import Canvas
from lrm_bringup.view.layout import CAMERAS, EVENTS, JOINTS, NUMBERS, REWARDS
from lrm_core.errors import BadInput
from lrm_sim.lerobot_folder import camera_names, dimension_names

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
        self._cameras = camera_names(dataset)
        self._rows = range(int(episode["dataset_from_index"]), int(episode["dataset_to_index"]))
        self.messages = len(self._rows)

    def draw(self, canvas: Canvas, progress: Progress) -> list[str]:
        """Draw it; returns what could not be read."""
        task, broken = None, list[str]()
        for done, row in enumerate(self._rows, 1):
            try:
                item = read_row(self._dataset, row)
            except BadInput as error:
                broken.append(str(error))
                continue
            stamp_ns = round(float(item["timestamp"]) * _NS)
            canvas.at(stamp_ns or 1, stamp_ns)
            if item["task"] != task:
                task = item["task"]
                canvas.event(f"{EVENTS}/episode", f"“{task}”")
            for key, camera in self._cameras.items():
                pixels = (item[key].permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
                canvas.picture(f"{CAMERAS}/{camera}", pixels)
            for group, series, value in self._values(item):
                canvas.curve(group, series, value, dots=not group.startswith(JOINTS))
            progress(done)
        return [f"{len(broken)} of {len(self._rows)} frames cannot be read: {broken[0]}"] if broken else []

    def _values(self, item: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
        for key, series in _JOINTS.items():
            if key in item:
                values = item[key].reshape(-1).tolist()
                for name, value in zip(dimension_names(self._dataset, key), values, strict=True):
                    yield f"{JOINTS}/{name}", series, value
        for key in _NUMBERS:
            if key in item:
                yield f"{NUMBERS}/episode", key, self._known(item, key)
        for number, head in enumerate(HEADS):
            if score_column(head) in item and not (STATUS in item and item[STATUS][number] == NOT_ASKED):
                yield REWARDS, head, float(item[score_column(head)])

    def _known(self, item: dict[str, Any], key: str) -> float:
        """A number of a row; NaN where another column says that nobody knows it."""
        known = all(bool(item[name]) for name in (f"{key}_valid",) if name in item)
        return float(item[key]) if known else math.nan
