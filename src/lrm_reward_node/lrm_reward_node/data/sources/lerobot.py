"""A LeRobotDataset, local or from the hub. LeRobot reads it, and converts one of format v2.1 to v3 into a copy."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.disk import only_one
from lrm_core.episode_sources import Declared, Episode, Frame, SourceSpec
from lrm_core.errors import BadInput, first_line
from lrm_core.params import param

SUCCESS = ("next.success", "success")
"""Columns that say whether a frame is a success, as LeRobot's environments write them."""
STATE = "observation.state"
_OLD = "v2.1"


@dataclass(frozen=True)
class LeRobotOptions:
    """Keys of a source of kind ``lerobot``."""

    path: str = param("", "Folder of a local dataset.")
    repo_id: str = param("", "Name on the hub, in place of path.")
    revision: str = param("", "Branch, tag or commit on the hub.")
    camera: str = param("", "Image feature, in full or by the end of its name; default: the only one, or front.")
    success_column: str = param("", "Column that says whether a frame is a success; default: next.success or success.")
    progress_column: str = param("", "Column of the true progress in [0, 1], for simulated data.")


class LeRobotEpisodes:
    """Episodes of a dataset.

    Raises:
        BadInput: no dataset, one that LeRobot cannot read, or the camera is not clear.
    """

    def __init__(self, options: LeRobotOptions, base: Path) -> None:
        self._name = options.repo_id or Path(options.path).name
        self._dataset = _open(options, base)
        self._camera = _one_of(list(self._dataset.meta.camera_keys), options.camera)
        columns = self._dataset.meta.features
        self._success = _column(columns, options.success_column, "success_column", SUCCESS)
        self._progress = _column(columns, options.progress_column, "progress_column", ())
        changed = (Path(self._dataset.meta.root) / "meta" / "info.json").stat().st_mtime_ns if options.path else 0
        self._version = f"{self._dataset.meta.revision}-{changed}-{self._success}-{self._progress}"
        wanted = ("timestamp", STATE, self._success, self._progress)
        table = self._dataset.hf_dataset.select_columns([name for name in wanted if name in columns])
        self._table = table.with_format(None)  # LeRobot's own stumbles over null

    def episodes(self) -> Iterator[Episode]:
        """One per episode of the dataset."""
        meta = self._dataset.meta
        for index in range(meta.total_episodes):
            row = meta.episodes[index]
            task = next(iter(tasks_in_order(self._dataset, index)), "")
            name, camera = f"episode-{index:06d}", self._camera.split(".")[-1]
            group, version = f"{self._name}/{index}", f"{self._version}-{row['length']}-{self._camera}"
            yield Episode(name, task, camera=camera, group=group, place=str(index), version=version)

    def declared(self, episode: Episode) -> Declared:
        """Length, rate and tasks of ``meta/``, and which truth there is a column for."""
        row = self._dataset.meta.episodes[int(episode.place)]
        truth = [name for name, column in (("success", self._success), ("progress", self._progress)) if column]
        tasks = tasks_in_order(self._dataset, int(episode.place))
        several = tasks if len(tasks) > 1 else ()
        return Declared(int(row["length"]), float(self._dataset.meta.fps), tuple(truth), several)

    def losses(self) -> list[str]:
        """Nothing beyond frames that cannot be decoded."""
        return []

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """Its frames; a picture is decoded when it is asked for."""
        row = self._dataset.meta.episodes[int(episode.place)]
        start, stop = int(row["dataset_from_index"]), int(row["dataset_to_index"])
        columns = self._table[start:stop]
        for offset in range(len(columns["timestamp"])):
            state = np.asarray(columns[STATE][offset], np.float32).reshape(-1) if STATE in columns else None
            progress = _number(columns[self._progress][offset]) if self._progress else float("nan")
            done = _number(columns[self._success][offset]) if self._success else float("nan")
            success = bool(done) if math.isfinite(done) else None
            stamp_s = _number(columns["timestamp"][offset])
            if not math.isfinite(stamp_s):
                raise BadInput(f"timestamp of row {start + offset}", columns["timestamp"][offset], "finite seconds")
            yield Frame(round(stamp_s * 1e9), self._reader(start + offset), state, progress, success)

    def _reader(self, row: int) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            try:
                pixels = self._dataset[row][self._camera]
            except Exception as error:  # the library raises what its files make it raise
                raise BadInput(
                    "frame", f"{self._name}, row {row}", "a picture that can be decoded", first_line(error)
                ) from error
            return np.asarray((pixels.permute(1, 2, 0).numpy() * 255.0).round(), np.uint8)

        return read


def tasks_in_order(dataset: Any, index: int) -> tuple[str, ...]:
    """Task sentences of episode ``index`` of a ``LeRobotDataset``, that of its first frame first.

    ``meta/`` has them in no order, and may name one that no frame has.
    """
    row = dataset.meta.episodes[index]
    named = sorted(map(str, row["tasks"]))
    if len(named) < 2:
        return tuple(named)
    column = dataset.hf_dataset.select_columns(["task_index"]).with_format(None)
    numbers = column[int(row["dataset_from_index"]) : int(row["dataset_to_index"])]["task_index"]
    seen = [str(dataset.meta.tasks.index[int(number)]) for number in dict.fromkeys(numbers)]
    return tuple(dict.fromkeys([*seen, *named]))


def _open(options: LeRobotOptions, base: Path) -> Any:
    if bool(options.path) == bool(options.repo_id):
        raise BadInput("path or repo_id", options.path or None, "one of the two", "A folder, or a name on the hub.")
    root = converted(base / options.path) if options.path else None
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    name = options.repo_id or f"local/{Path(options.path).name}"
    try:
        return LeRobotDataset(name, root=root, revision=options.revision or None, video_backend="pyav")
    except Exception as error:  # the library raises what its files, or the network, make it raise
        fix = f"({first_line(error)})"
        if "BackwardCompat" in type(error).__name__:
            fix = (
                f"Convert it: python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id {name} --push-to-hub false"
            )
        raise BadInput("dataset", str(root or name), "a LeRobotDataset of format v3.0 or v2.1", fix) from error


def converted(path: Path) -> Path:
    """``path``, or where it is of format v2.1 the folder of its conversion, made once; ``path`` stays as it is.

    Raises:
        BadInput: no dataset, or one that LeRobot cannot convert.
    """
    info = path / "meta" / "info.json"
    try:
        text = info.read_text(encoding="utf-8")
        values = json.loads(text)
        version, rate_hz = str(values.get("codebase_version")), values.get("fps")
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput("path", str(path), "the folder of a LeRobotDataset, with meta/info.json", str(error)) from error
    if not isinstance(rate_hz, (int, float)) or not 0.0 < rate_hz < math.inf:
        raise BadInput(f"fps in {info}", rate_hz, "frames per second, above 0", "Write the rate it was recorded at.")
    if version != _OLD:
        return path
    from lerobot.utils.constants import HF_LEROBOT_HOME

    state = hashlib.sha256(f"{path.resolve()}\n{info.stat().st_mtime_ns}\n{text}".encode()).hexdigest()[:12]
    made = Path(HF_LEROBOT_HOME) / "lrm-converted" / f"{path.name}-{state}"
    if not made.is_dir():
        with only_one(made, "path", "conversion"):
            if not made.is_dir():  # another process may have just finished
                _convert(path, made)
    return made


def _convert(path: Path, made: Path) -> None:
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    work = made.with_name(f"{made.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        shutil.copytree(path, work / path.name)
        convert_dataset(f"local/{path.name}", root=work / path.name, push_to_hub=False)
    except Exception as error:
        shutil.rmtree(work, ignore_errors=True)
        allowed = "a dataset of format v2.1 that LeRobot converts"
        raise BadInput("path", str(path), allowed, first_line(error)) from error
    (work / path.name).rename(made)
    shutil.rmtree(work)


def _column(columns: dict[str, Any], wanted: str, key: str, usual: tuple[str, ...]) -> str:
    if wanted and wanted not in columns:
        raise BadInput(key, wanted, f"one of {sorted(columns)}")
    return wanted or next((name for name in usual if name in columns), "")


def _one_of(keys: list[str], wanted: str) -> str:
    found = [key for key in keys if key == wanted or key.endswith(f".{wanted or 'front'}")]
    found = found or (keys if len(keys) == 1 and not wanted else [])
    if len(found) != 1:
        raise BadInput("camera", wanted or None, f"one of {keys}")
    return found[0]


def _number(value: Any) -> float:
    """The only element; NaN where there is none, or no number."""
    try:
        return float(np.asarray(value, np.float64).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        return math.nan


SPEC = SourceSpec(LeRobotOptions, LeRobotEpisodes)
