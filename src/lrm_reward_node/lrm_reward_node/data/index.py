"""The index of a training set: Parquet shards, one folder per head and split, and one table of the episodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrm_core.disk import writing
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.making import Question
from lrm_reward_node.data.store import path_of
from lrm_reward_node.data.summary import read_summary

ROWS_PER_GROUP = 16_384
GROUPS_PER_SHARD = 32
COLUMNS = ("task", "episode", "frames", "answer", "target", "made", "source", "initial", "goal")
EPISODE_COLUMNS = (
    "key", "source", "id", "group", "task", "meaning", "outcome", "scene", "camera", "split", "stamps_ns", "start",
    "end",
)  # fmt: skip


def shard_folder(folder: Path, head: str, split: str) -> Path:
    """Where the shards of a head and split lie."""
    return folder / "samples" / head / split


def _schema() -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    kinds = (text, pa.int32(), pa.list_(pa.int32()), pa.int8(), pa.float32(), text, text, pa.bool_(), pa.bool_())
    return pa.schema(list(zip(COLUMNS, kinds, strict=True)))


def _episode_schema() -> Any:
    import pyarrow as pa

    kinds = [pa.string()] * 10 + [pa.list_(pa.int64()), pa.int32(), pa.int32()]
    return pa.schema(list(zip(EPISODE_COLUMNS, kinds, strict=True)))


def episodes_in(folder: Path, split: str) -> list[Path]:
    """Files of the episodes that a finished build has in a split, in its order.

    Raises:
        BadInput: no finished build, or none in this split.
    """
    import pyarrow.parquet as pq

    table = folder / read_summary(folder).index / "episodes.parquet"
    rows = pq.read_table(table, columns=["key", "split"]).to_pylist()
    found = [path_of(folder, row["key"]) for row in rows if row["split"] == split]
    if not found:
        raise BadInput("--split", split or None, f"one that has episodes: {sorted({row['split'] for row in rows})}")
    return found


class ShardWriter:
    """Rows in, Parquet files out, a row group at a time: memory does not grow with their number.

    Attributes:
        counts: (source, answer, made) -> rows.
        rows: how many.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows, self.counts = folder, 0, Counter[tuple[str, int, str]]()
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._file: Any = None
        self._groups = self._shards = 0

    def add(self, question: Question, episode: int, source: str) -> None:
        """One sample of the episode with that row in the table of episodes."""
        values = (
            question.task, episode, question.frames, question.answer, question.target, question.made, source,
            question.initial, question.goal,
        )  # fmt: skip
        for name, value in zip(COLUMNS, values, strict=True):
            self._columns[name].append(value)
        self.rows += 1
        self.counts[source, question.answer, question.made] += 1
        if len(self._columns["task"]) == ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._columns["task"]:
            self._flush()
        self._finish_file()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with writing(self.folder):
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = pq.ParquetWriter(self.folder / f"{self._shards:05d}.parquet", _schema())
                self._shards += 1
            self._file.write_table(pa.table(self._columns, schema=_schema()), row_group_size=ROWS_PER_GROUP)
        self._columns = {name: [] for name in COLUMNS}
        self._groups += 1
        if self._groups == GROUPS_PER_SHARD:
            self._finish_file()

    def _finish_file(self) -> None:
        if self._file is not None:
            with writing(self.folder):
                self._file.close()
        self._file, self._groups = None, 0


class EpisodeTable:
    """The table of episodes, written a batch at a time.

    Attributes:
        rows: how many.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._batch: list[dict[str, Any]] = []
        self._file: Any = None

    def add(self, key: str, facts: Facts, split: str, meaning: str) -> int:
        """One episode, whose task sentence has this meaning (``Meanings.of``); returns its row."""
        episode = facts.episode
        values: Sequence[Any] = (
            key, facts.source, episode.id, facts.group, episode.task, meaning, episode.outcome, episode.scene,
            episode.camera, split, facts.stamps_ns, facts.start, facts.end,
        )  # fmt: skip
        self._batch.append(dict(zip(EPISODE_COLUMNS, values, strict=True)))
        self.rows += 1
        if len(self._batch) == 1024:
            self._flush()
        return self.rows - 1

    def close(self) -> None:
        """Write what is left; a table without rows is a file too."""
        self._flush()
        with writing(self.path):
            self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with writing(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = pq.ParquetWriter(self.path, _episode_schema())
            self._file.write_table(pa.Table.from_pylist(self._batch, schema=_episode_schema()))
        self._batch = []


class SampleIndex:
    """All shards of a training set, by head and split, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.episodes = EpisodeTable(folder / "episodes.parquet")
        self.writers: dict[tuple[RewardHead, str], ShardWriter] = {}

    def add(self, question: Question, episode: int, source: str, split: str) -> None:
        """One sample."""
        key = (question.head, split)
        if key not in self.writers:
            self.writers[key] = ShardWriter(shard_folder(self.folder, question.head.value, split))
        self.writers[key].add(question, episode, source)

    def close(self) -> None:
        """Write what is left."""
        self.episodes.close()
        for writer in self.writers.values():
            writer.close()
