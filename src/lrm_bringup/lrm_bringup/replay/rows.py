"""What comes out of a replay, without pixels: one row per estimate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lrm_bringup.replay.scoring import ReplayedQuery
from lrm_bringup.replay.series import Series
from lrm_core.errors import BadInput, first_line
from lrm_core.rewards import RewardEstimate
from lrm_reward_node.schedule import Query


@dataclass(frozen=True)
class Row:
    """One estimate of one model about one frame.

    Attributes:
        model: name of the model, or mode, in this replay.
        mode: the reward mode: contrastive, progress, completion, tri for the fused one, or that of another model.
        fingerprint: hash of weights, adapters, prompts and readout.
        episode_id: episode of the frame.
        task: task sentence that was asked.
        query: number of the query in its episode.
        camera: the camera; empty for the verdict over all.
        head: contrastive, progress, completion or fused.
        stamp_ns: stamp of the frame.
        log_ns: log time of what made the query possible.
        value: NaN unless the status is OK.
        status: name of :class:`lrm_core.rewards.RewardStatus`.
        uncertainty, confidence: see :class:`lrm_core.rewards.RewardEstimate`.
        reference_stamp_ns: stamp of the older frame it was compared with; 0: none.
        episode_end: the query at the end of its episode.
        raw_text: the answer, or the reason why there is none.
    """

    model: str
    mode: str
    fingerprint: str
    episode_id: str
    task: str
    query: int
    camera: str
    head: str
    stamp_ns: int
    log_ns: int
    value: float
    status: str
    uncertainty: float
    confidence: float
    reference_stamp_ns: int
    episode_end: bool
    raw_text: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What joins it with a recorded reward: episode, head, stamp."""
        return self.episode_id, self.head, self.stamp_ns


def rows_of(replayed: ReplayedQuery, series: Sequence[Series]) -> Iterator[Row]:
    """All estimates of one query."""
    for named, scored in zip(series, replayed.answers, strict=True):
        for camera, estimates in [("", scored.estimates), *scored.by_camera.items()]:
            for estimate in estimates:
                yield _row(replayed, scored.query, named, camera, estimate)


def _row(replayed: ReplayedQuery, query: Query, named: Series, camera: str, estimate: RewardEstimate) -> Row:
    return Row(
        named.label, named.mode_of(estimate.head), named.fingerprint, query.plan.episode_id, query.plan.task,
        query.index, camera, estimate.head.value, estimate.stamp_ns or query.stamp_ns, replayed.asked.log_ns,
        estimate.value, estimate.status.name, estimate.uncertainty, estimate.confidence,
        estimate.reference_stamp_ns,
        query.final, estimate.raw_text,
    )  # fmt: skip


def write_table(path: Path, rows: list[Row]) -> None:
    """All rows as a Parquet table; numbers that are unknown are null."""
    import pyarrow
    import pyarrow.parquet

    kinds: dict[str, Any] = {
        "str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_(),
    }  # fmt: skip
    schema = pyarrow.schema([(f.name, kinds[str(f.type)]) for f in fields(Row)])
    values = [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(values, schema=schema), path)


def read_table(path: Path) -> list[Row]:
    """What :func:`write_table` wrote.

    Raises:
        BadInput: not such a table.
    """
    import pyarrow
    import pyarrow.parquet

    kinds = {f.name: str(f.type) for f in fields(Row)}
    try:
        found = pyarrow.parquet.read_table(path, columns=list(kinds)).to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        text = f"({first_line(error)})"
        raise BadInput("table of rewards", str(path), "a rewards.parquet of lrm replay", text) from error
    if any(row[name] is None for row in found for name, kind in kinds.items() if kind != "float"):
        raise BadInput(
            "table of rewards", str(path), "a rewards.parquet of lrm replay", "(names or stamps are missing)"
        )
    rows: list[dict[str, Any]] = [{k: math.nan if v is None else v for k, v in row.items()} for row in found]
    return [Row(**row) for row in rows]
