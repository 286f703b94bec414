"""A folder of videos with a table of task sentences and outcomes. Videos of people are videos too."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrm_core.episode_sources import Declared, Episode, Frame, SourceSpec
from lrm_core.errors import BadInput
from lrm_core.params import param
from lrm_reward_node.data.video_file import VIDEOS, declared_frames, video_frames

TABLES = ("index.json", "index.jsonl", "index.csv", "index.parquet")
_COLUMNS = ("task", "outcome", "scene", "recording", "meaning")


@dataclass(frozen=True)
class VideoOptions:
    """Keys of a source of kind ``videos``."""

    path: str = param("", "Folder of the videos.")
    table: str = param("", "Table: file, task, outcome, scene, recording, meaning; default: index.json and so on.")


class VideoFolder:
    """Videos of a folder, those of the table in its order; without a table all, by name.

    Raises:
        BadInput: no such folder, no videos, or a table that cannot be read or names files that are not there.
    """

    def __init__(self, options: VideoOptions, base: Path) -> None:
        self.folder = base / options.path
        if not options.path or not self.folder.is_dir():
            raise BadInput("path", str(self.folder), "an existing folder of videos")
        table = base / options.table if options.table else table_in(self.folder)
        self._rows = list(read_table(table)) if table else [{"file": name} for name in videos_in(self.folder)]
        if not self._rows:
            raise BadInput("path", str(self.folder), f"a folder with files {', '.join(VIDEOS)}, or a table of them")

    def episodes(self) -> Iterator[Episode]:
        """One per video."""
        for row in self._rows:
            name = str(row.get("file") or "")
            task, outcome, scene, group, meaning = (str(row.get(column) or "") for column in _COLUMNS)
            path = self.folder / name
            state = path.stat() if name and path.is_file() else None
            version = f"{state.st_size}-{state.st_mtime_ns}" if state else "missing"
            yield Episode(
                name, task, outcome or "unknown", scene, group=group, place=name, version=version, meaning=meaning
            )

    def declared(self, episode: Episode) -> Declared:
        """Number and rate of the frames that the container announces."""
        return declared_frames(self.folder / episode.place)

    def losses(self) -> list[str]:
        """Nothing beyond frames that cannot be decoded."""
        return []

    def frames(self, episode: Episode) -> Iterator[Frame]:
        """The frames of its file."""
        return video_frames(self.folder / episode.place)


def table_in(folder: Path) -> Path | None:
    """The table beside the videos of a folder; None where there is none."""
    return next((folder / name for name in TABLES if (folder / name).is_file()), None)


def videos_in(folder: Path) -> list[str]:
    """Videos at any depth, relative to the folder, by name."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    return sorted(str(path.relative_to(folder)) for path in found)


def read_table(path: Path, names: Sequence[str] = ("file",), what: str = "table") -> Iterator[dict[str, Any]]:
    """Rows of a CSV, JSON, JSON lines or Parquet file with at least one of the columns ``names``.

    Raises:
        BadInput: it cannot be read, or a row has none of them.
    """
    try:
        rows = _rows(path)
    except (OSError, ValueError, csv.Error) as error:
        allowed = "a table as .csv, .json, .jsonl or .parquet"
        raise BadInput(what, str(path), allowed, str(error).splitlines()[0]) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not any(row.get(name) for name in names):
            raise BadInput(f"row {number} of {path}", row, f"a row with a column {' or '.join(names)}")
        yield row


def _rows(path: Path) -> list[Any]:
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as pq

        rows: list[Any] = pq.read_table(path).to_pylist()
        return rows
    text = path.read_text(encoding="utf-8-sig")
    if kind == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if kind == ".json":
        loaded = json.loads(text)
        if not isinstance(loaded, list):
            raise ValueError("a list of rows is expected")
        return loaded
    if kind != ".csv":
        raise ValueError(f"{kind or 'no ending'} is none of these")
    return list(csv.DictReader(text.splitlines()))


SPEC = SourceSpec(VideoOptions, VideoFolder)
