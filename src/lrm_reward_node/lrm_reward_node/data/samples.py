"""What a trainer opens: the samples of one head and split, pictures decoded when they are asked for.

samples = open_samples(Path("out/data"), "progress", "train")
sample = samples[0]                  # sample.images, sample.answer, sample.origin
sampler = WeightedRandomSampler(samples.weights, len(samples))
"""

from __future__ import annotations

import bisect
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.data import store
from lrm_reward_node.data.index import shard_folder
from lrm_reward_node.data.making import HEADS
from lrm_reward_node.data.manifest import SPLIT_NAMES
from lrm_reward_node.data.summary import Summary, read_summary
from lrm_reward_node.readout import ANSWERS

CACHED_GROUPS = 64
"""Row groups of the index in memory: a million samples; others are read again."""
CACHED_PICTURE_BYTES = 256 * 2**20
"""Decoded pictures in memory, per process."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One question with its answer.

    Attributes:
        head: ``contrastive``, ``progress`` or ``completion``.
        task: sentence in the prompt.
        images: pictures (H, W, 3) uint8 RGB in the order of the prompt; see ``lrm_reward_node.prompts.image_order``.
        initial: progress: the initial picture is among them.
        goal: progress: the goal picture is among them, first.
        answer: the answer as the model has to write it, for example ``{ "completion_progress": 0.3 }``.
        target: its exact value: -1 or 1 (contrastive), [0, 1] (progress, not rounded), 0 or 1 (completion).
        weight: how often it is to be drawn, mean 1; see :attr:`Samples.weights`.
        origin: source, episode, split, frames (numbers of the kept ones), stamps_ns, file and made.
    """

    head: str
    task: str
    images: tuple[np.ndarray, ...]
    initial: bool
    goal: bool
    answer: str
    target: float
    weight: float
    origin: dict[str, Any]

    @property
    def episode(self) -> str:
        """Source and name of its episode."""
        return f"{self.origin['source']}/{self.origin['episode']}"


class Samples:
    """The samples of one head and split. Picklable: a worker opens its own files. See :func:`open_samples`.

    Attributes:
        folder, head, split: what was opened.
        reader_stats: what was read by this process: pictures, picture_hits, groups, group_hits.
    """

    def __init__(self, folder: Path, head: RewardHead, split: str, summary: Summary) -> None:
        import pyarrow.parquet as pq

        self.folder, self.head, self.split, self._summary = folder, head, split, summary
        self._shards = sorted(shard_folder(folder / summary.index, head.value, split).glob("*.parquet"))
        self._groups: list[tuple[int, int]] = []
        self._starts = [0]
        for shard, path in enumerate(self._shards):
            meta = pq.read_metadata(path)
            for group in range(meta.num_row_groups):
                self._groups.append((shard, group))
                self._starts.append(self._starts[-1] + meta.row_group(group).num_rows)
        self._forget()

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Sample:
        asked = self.question(index)
        path = self.folder / asked.origin["file"]
        return replace(asked, images=tuple(self._picture(path, frame) for frame in asked.origin["frames"]))

    def question(self, index: int) -> Sample:
        """The sample without its pictures, which take most of the time: ``images`` is empty."""
        row = self._row(range(len(self))[index])
        episode = self._episode(row["episode"])
        origin = {
            "source": row["source"], "episode": episode["id"], "split": self.split, "frames": row["frames"],
            "stamps_ns": [episode["stamps_ns"][frame] for frame in row["frames"]],
            "file": store.name_of(episode["key"]), "made": row["made"],
        }  # fmt: skip
        answer, weight = ANSWERS[self.head].texts[row["answer"]], float(self._weight(row["source"], row["answer"]))
        return Sample(
            self.head.value, row["task"], (), row["initial"], row["goal"], answer, row["target"], weight, origin
        )

    def origin(self, index: int) -> dict[str, Any]:
        """Where the sample comes from; see :attr:`Sample.origin`. No picture is decoded."""
        return self.question(index).origin

    def __getstate__(self) -> dict[str, Any]:
        caches = {"_group_cache", "_picture_cache", "_picture_bytes", "reader_stats", "_episodes", "episode_names"}
        return {name: value for name, value in self.__dict__.items() if name not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @cached_property
    def weights(self) -> np.ndarray:
        """(N,) float32, mean 1: how often to draw each sample.

        Each source is drawn as often as its weight says, and within a source each answer as often as the others.
        """
        parts = [self._group_weights(number) for number in range(len(self._groups))]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def made(self, groups: int) -> Iterator[str]:
        """How the answers of the first samples are known, up to so many row groups; see ``making.MADE``."""
        for table in islice(self.columns("made"), groups):
            yield from table["made"].to_pylist()

    def columns(self, *names: str) -> Iterator[Any]:
        """These columns of the index (``index.COLUMNS``) in the order of the samples, a pyarrow table per row group.

        For what is asked of every sample: row by row it takes far longer.
        """
        return (self._read(number, list(names)) for number in range(len(self._groups)))

    @cached_property
    def episode_names(self) -> list[tuple[str, str]]:
        """Source and name of each episode that the column ``episode`` counts, of all splits."""
        table = self._episodes
        return list(zip(table["source"].to_pylist(), table["id"].to_pylist(), strict=True))

    def tasks(self) -> dict[str, str]:
        """Sentence of the episodes of the split -> what it means, one text for all sentences of a meaning."""
        rows = self._episodes.select(["task", "meaning", "split"]).to_pylist()
        return {row["task"]: row["meaning"] for row in rows if row["split"] == self.split}

    def _forget(self) -> None:
        self._group_cache: OrderedDict[int, Any] = OrderedDict()
        self._picture_cache: OrderedDict[tuple[Path, int], np.ndarray] = OrderedDict()
        self._picture_bytes = 0
        self.reader_stats: Counter[str] = Counter()

    def _row(self, index: int) -> dict[str, Any]:
        number = bisect.bisect_right(self._starts, index) - 1
        row: dict[str, Any] = self._group(number).slice(index - self._starts[number], 1).to_pylist()[0]
        return row

    def _group(self, number: int) -> Any:
        if number in self._group_cache:
            self._group_cache.move_to_end(number)
            self.reader_stats["group_hits"] += 1
            return self._group_cache[number]
        self._group_cache[number] = self._read(number)
        self.reader_stats["groups"] += 1
        if len(self._group_cache) > CACHED_GROUPS:
            self._group_cache.popitem(last=False)
        return self._group_cache[number]

    def _read(self, number: int, columns: list[str] | None = None) -> Any:
        import pyarrow.parquet as pq

        shard, group = self._groups[number]
        with pq.ParquetFile(self._shards[shard], memory_map=True) as file:
            return file.read_row_group(group, columns=columns)

    def _group_weights(self, number: int) -> np.ndarray:
        columns = self._read(number, ["source", "answer"]).combine_chunks()
        source = columns["source"].combine_chunks()
        table = [
            [self._weight(name, a) for a in range(len(ANSWERS[self.head].texts))]
            for name in source.dictionary.to_pylist()
        ]
        return np.array(table, np.float32)[source.indices.to_numpy(), columns["answer"].to_numpy()]

    def _weight(self, source: str, answer: int) -> float:
        return self._summary.weight(self.head.value, self.split, source, answer)

    @cached_property
    def _episodes(self) -> Any:
        import pyarrow.parquet as pq

        columns = ["key", "source", "id", "task", "meaning", "split", "stamps_ns"]
        return pq.read_table(self.folder / self._summary.index / "episodes.parquet", columns=columns, memory_map=True)

    def _episode(self, row: int) -> dict[str, Any]:
        found: dict[str, Any] = self._episodes.slice(row, 1).to_pylist()[0]
        return found

    def _picture(self, path: Path, frame: int) -> np.ndarray:
        key = (path, frame)
        if key in self._picture_cache:
            self._picture_cache.move_to_end(key)
            self.reader_stats["picture_hits"] += 1
            return self._picture_cache[key]
        picture = store.read_pictures(path, [frame])[0]
        self.reader_stats["pictures"] += 1
        self._picture_cache[key] = picture
        self._picture_bytes += picture.nbytes
        while self._picture_bytes > CACHED_PICTURE_BYTES:
            self._picture_bytes -= self._picture_cache.popitem(last=False)[1].nbytes
        return picture


def open_samples(folder: Path, head: str, split: str) -> Samples:
    """The samples of ``head`` (contrastive, progress, completion) in ``split`` (train, validation, test); may be none.

    Raises:
        BadInput: ``folder`` holds no finished build, or there is no such head or split.
    """
    names = [one.value for one in HEADS]
    if head not in names:
        raise BadInput("head", head, f"one of {names}")
    if split not in SPLIT_NAMES:
        raise BadInput("split", split, f"one of {list(SPLIT_NAMES)}")
    return Samples(folder, RewardHead(head), split, read_summary(folder))
