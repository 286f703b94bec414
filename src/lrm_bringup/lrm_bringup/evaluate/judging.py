"""Scores and truth put together, episode by episode."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lrm_bringup.evaluate.controls import KINDS, copy_name, order_of
from lrm_bringup.evaluate.inputs import EvalInput
from lrm_bringup.evaluate.labels import Label
from lrm_bringup.evaluate.truth import TruthOf, seconds
from lrm_bringup.replay.rows import Row
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.judged import Copy, JudgedEpisode, Truth, by_time, from_trajectory
from lrm_reward_node.evaluation.trajectories import read_scores

SCORE_FILES = "score files"
_HEADS = [head.value for head in RewardHead]


def judged_rows(
    source: str, path: Path, rows: Iterable[Row], copies: Iterable[Row], truth_of: TruthOf
) -> dict[str, JudgedEpisode]:
    """The episodes of one input as one model scored them.

    Returns:
        Episode id in the recording -> episode; recordings without episodes of their own get the name of the file.
    """
    in_copies = _by_episode(copies)
    found = {}
    by_episode = _by_episode(rows)
    for number, (episode_id, of_episode) in enumerate(by_episode.items(), 1):
        stamps_ns, values, uncertainty = _columns(of_episode)
        name = episode_id
        if episode_id.startswith("replay-"):  # the schedule's own, the same for every recording
            name = path.stem if len(by_episode) == 1 else f"{path.stem} {number}"
        shown = {
            kind: _copy(kind, episode_id, in_copies[copied])
            for kind in KINDS if (copied := copy_name(episode_id, kind)) in in_copies
        }  # fmt: skip
        statuses = {head: Counter(row.status for row in of_episode if row.head == head.value) for head in values}
        truth = truth_of(name, stamps_ns)
        found[episode_id] = JudgedEpisode(
            source, name, of_episode[0].task, seconds(stamps_ns), values, truth, uncertainty, shown, statuses
        )
    return found


def judged_scores(inputs: Sequence[EvalInput]) -> dict[str, list[JudgedEpisode]]:
    """Model -> episodes of the original's score files; those of one model are merged.

    Raises:
        BadInput: a file cannot be read, or files of one model are of different modes.
    """
    by_model: defaultdict[str, list[EvalInput]] = defaultdict(list)
    for one in inputs:
        by_model[one.model].append(one)
    found = {}
    for model, files in by_model.items():
        mode, trajectories = read_scores([one.path for one in files])
        names = [one.name for one in trajectories]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise BadInput("traj_dir in score files", twice, f"a name that comes once in the files of {model!r}")
        found[model] = [from_trajectory(SCORE_FILES, one, mode) for one in trajectories]
    return found


def judged_published(source: str, name: str, label: Label, t_s: np.ndarray) -> dict[str, JudgedEpisode]:
    """Model -> the episode with the progress that was published for it, one value per frame.

    Args:
        source, name: as the episode is called elsewhere.
        label: with the published curves.
        t_s: (frames,) time of every frame.
    """
    truth = by_time(bool(label.success), label.outcome, t_s) if label.success is not None else Truth()
    return {
        model: JudgedEpisode(source, name, label.task, t_s, {RewardHead.PROGRESS: curve}, truth)
        for model, curve in label.published.items()
    }


def _by_episode(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if not row.camera and row.head in _HEADS:
            found[row.episode_id].append(row)
    return dict(found)


def _columns(
    rows: Sequence[Row],
) -> tuple[np.ndarray, dict[RewardHead, np.ndarray], dict[RewardHead, np.ndarray]]:
    """(Q,) stamps, and per head (Q,) values and uncertainties; NaN where a head said nothing."""
    stamp_of = {row.query: row.stamp_ns for row in rows}
    place = {query: index for index, query in enumerate(sorted(stamp_of))}
    asked = [head for head in RewardHead if any(row.head == head.value for row in rows)]
    values = {head: np.full(len(place), math.nan) for head in asked}
    uncertainty = {head: np.full(len(place), math.nan) for head in asked}
    for row in rows:
        head = RewardHead(row.head)
        values[head][place[row.query]] = row.value if row.status == "OK" else math.nan
        uncertainty[head][place[row.query]] = row.uncertainty
    return np.array([stamp_of[query] for query in place], np.int64), values, uncertainty


def _copy(kind: str, episode_id: str, rows: Sequence[Row]) -> Copy:
    _, values, _ = _columns(rows)
    return Copy(order_of(kind, episode_id, len(next(iter(values.values())))), values)
