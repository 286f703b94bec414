"""LeRobotDatasets on disk, changed: other values in a column, or the older format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def changed(dataset: Path, folder: Path, column: str, values: dict[int, object]) -> Path:
    """A copy of the dataset with other values in some rows of a column."""
    shutil.copytree(dataset, folder)
    (path,) = (folder / "data").rglob("*.parquet")
    table = pq.read_table(path)
    rows = table[column].to_pylist()
    for row, value in values.items():
        rows[row] = value
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), pa.array(rows, table[column].type)), path)
    return folder


def as_v21(dataset: Path, folder: Path) -> Path:
    """The same dataset in the older format: one file per episode, JSON lines in place of tables."""
    info = json.loads((dataset / "meta" / "info.json").read_text())
    info |= {"codebase_version": "v2.1", "total_chunks": 1, "total_videos": 0, "chunks_size": 1000, "video_path": None}
    info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    rows = pa.concat_tables([pq.read_table(path) for path in sorted((dataset / "data").rglob("*.parquet"))])
    episodes = pa.concat_tables(
        [pq.read_table(path) for path in sorted((dataset / "meta" / "episodes").rglob("*.parquet"))]
    )
    (folder / "meta").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    tasks: dict[str, int] = {}
    lines: dict[str, list[dict[str, object]]] = {"episodes": [], "episodes_stats": [], "tasks": []}
    for row in episodes.to_pylist():
        index = row["episode_index"]
        mine = rows.filter(pa.compute.equal(rows["episode_index"], index))
        tasks.setdefault(row["tasks"][0], mine["task_index"][0].as_py())
        pq.write_table(mine, folder / "data" / "chunk-000" / f"episode_{index:06d}.parquet")
        lines["episodes"].append({"episode_index": index, "tasks": row["tasks"], "length": row["length"]})
        stats: dict[str, dict[str, object]] = {}
        for key, value in row.items():
            if key.startswith("stats/"):
                stats.setdefault(key.split("/")[1], {})[key.split("/")[2]] = value
        lines["episodes_stats"].append({"episode_index": index, "stats": stats})
    lines["tasks"] = [{"task_index": number, "task": task} for task, number in tasks.items()]
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    for name, some in lines.items():
        (folder / "meta" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in some))
    return folder
