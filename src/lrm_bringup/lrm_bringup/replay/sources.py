"""Recordings that are no bags: LeRobotDatasets, video files, folders of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.datasets import open_dataset, read_row, several_tasks, tasks_in_order
from lrm_bringup.replay.events import EpisodeSeen, Event, FrameSeen
from lrm_core.errors import BadInput
from lrm_reward_node.data.video_file import VIDEOS as VIDEOS
from lrm_reward_node.data.video_file import declared_frames, video_frames
from lrm_reward_node.schedule import ArrivedFrame, EpisodePlan

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_NS = 1_000_000_000
START_NS = _NS
"""Stamp of the first frame where files have none: 0 means no stamp in a message."""


class VideoFile:
    """A video file. Stamps are those of its frames, from 1 s on.

    Raises:
        BadInput: no video that can be decoded.
    """

    cameras: tuple[str, ...] = ("video",)

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        declared = declared_frames(path)
        self.frames, self.rate_hz = declared.frames, declared.rate_hz
        if next(video_frames(path), None) is None:
            raise BadInput("video", str(path), "a video file that can be decoded")
        self._read = self.frames

    @property
    def problems(self) -> list[str]:
        """Frames that the file announces and does not hold."""
        missing = self.frames - self._read
        return [f"{self.path.name}: {missing} of {self.frames} frames cannot be decoded"] if missing > 0 else []

    def events(self) -> Iterator[Event]:
        """Its frames."""
        self._read = 0
        for frame in video_frames(self.path):
            self._read += 1
            yield _frame(frame.picture(), START_NS + frame.stamp_ns, "video")


class PictureFolder:
    """A folder of picture files, in the order of their names, at a fixed rate.

    Args:
        path: the folder.
        rate_hz: pictures per second.
    """

    cameras: tuple[str, ...] = ("pictures",)

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.name, self._rate_hz = path.name, rate_hz
        self._paths = pictures_in(path)
        self.frames = len(self._paths)
        self.problems: list[str] = []

    def events(self) -> Iterator[Event]:
        """Its pictures; a broken one is left out and is a problem."""
        from lrm_reward_node.scoring import read_picture

        self.problems = []
        for index, path in enumerate(self._paths):
            try:
                rgb = read_picture(path)
            except BadInput as error:
                self.problems.append(str(error))
                continue
            yield _frame(rgb, START_NS + round(index * _NS / self._rate_hz), "pictures")


class DatasetEpisodes:
    """A local LeRobotDataset, every episode with its own task.

    Args:
        path: folder of the dataset; one of format v2.1 is converted by LeRobot into a copy.
        camera: its image feature, in full or by the end of its name; empty: the only one, or ``front``.
        query_rate_hz: queries per second; 0: one.
        task: in place of the recorded ones; empty: those.

    Raises:
        BadInput: no dataset, or the camera is not clear.
    """

    def __init__(self, path: Path, camera: str = "", query_rate_hz: float = 0.0, task: str = "") -> None:
        self._dataset = open_dataset(path)
        self.name, self._task = path.name, task
        self._key = _one_of(list(self._dataset.meta.camera_keys), camera)
        self.cameras: tuple[str, ...] = (self._key.split(".")[-1],)
        self.frames = len(self._dataset)
        self.problems: list[str] = []
        self._interval_ns = round(_NS / (query_rate_hz or 1.0))

    def events(self) -> Iterator[Event]:
        """Episode after episode on one clock, a minute apart; what is left out of them is a problem."""
        self.problems = []
        start_ns = START_NS
        for index in range(self._dataset.meta.total_episodes):
            stamp_ns, task = start_ns, self._task_of(index)
            for event in self._episode(index, task, start_ns) if task else ():
                stamp_ns = event.log_ns
                yield event
            start_ns = stamp_ns + 60 * _NS

    def _task_of(self, index: int) -> str:
        """Its sentence; empty, and a problem, where it has none."""
        if self._task:
            return self._task
        tasks = tasks_in_order(self._dataset, index)
        if several := several_tasks(tasks, index):
            self.problems.append(f"{self.name}: {several}; --task says another")
        task = next(iter(tasks), "").strip()
        if not task:
            self.problems.append(f"{self.name}: episode {index} has no task sentence and is left out; --task gives one")
        return task

    def _episode(self, index: int, task: str, start_ns: int) -> Iterator[Event]:
        meta, period_ns = self._dataset.meta.episodes[index], round(_NS / self._dataset.fps)
        first, last = int(meta["dataset_from_index"]), int(meta["dataset_to_index"])
        name = f"{self.name}-{index:05d}"
        plan = EpisodePlan(name, task, start_ns, self._interval_ns, period_ns // 2, (last - first) * period_ns)
        yield EpisodeSeen(name, plan, start_ns, None, start_ns)
        stamp_ns, broken = start_ns, list[str]()
        for row in range(first, last):
            try:
                item = read_row(self._dataset, row)
            except BadInput as error:
                broken.append(str(error))
                continue
            stamp_ns = start_ns + _stamp_ns(item["timestamp"], f"timestamp of row {row} of {self.name}")
            pixels = (item[self._key].permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
            yield _frame(np.ascontiguousarray(pixels), stamp_ns, self.cameras[0])
        if broken:
            self.problems.append(f"{name}: {len(broken)} of {last - first} frames cannot be read: {broken[0]}")
        yield EpisodeSeen(name, plan, stamp_ns, stamp_ns, stamp_ns)


def pictures_in(folder: Path) -> list[Path]:
    """Picture files of a folder, numbers in their names in the order of counting."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    return sorted(paths, key=lambda path: (len(path.stem) if path.stem.isdigit() else 0, path.name))


def _frame(rgb: np.ndarray, stamp_ns: int, camera: str) -> FrameSeen:
    return FrameSeen(ArrivedFrame(rgb, stamp_ns, camera, arrived_s=math.nan), stamp_ns)


def _stamp_ns(value: Any, where: str) -> int:
    seconds = math.nan if value is None else float(value)
    if not math.isfinite(seconds):
        raise BadInput(where, value, "finite seconds")
    return round(seconds * _NS)


def _one_of(keys: list[str], wanted: str) -> str:
    found = [key for key in keys if key == wanted or key.endswith(f".{wanted or 'front'}")]
    if wanted and not found:
        raise BadInput("--topic", wanted, f"one of {keys}")
    if not found and len(keys) == 1:
        found = keys
    if not found:
        raise BadInput("camera of the dataset", keys, "one that is named", "Name it with --topic.")
    return found[0]
