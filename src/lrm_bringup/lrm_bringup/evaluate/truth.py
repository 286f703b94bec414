"""What is known to be true of the episodes of a recording: the simulator's audit, columns of a dataset, labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.evaluate.labels import Label, label_for
from lrm_bringup.replay.built import BuiltEpisode
from lrm_bringup.replay.events import Recording
from lrm_bringup.replay.sources import DatasetEpisodes
from lrm_core.episodes import judged
from lrm_core.errors import BadInput
from lrm_reward_node.evaluation.judged import SUCCESS, Truth, by_time

TruthOf = Callable[[str, np.ndarray], Truth]
"""(name of the episode, (Q,) stamps of its queries in nanoseconds) -> what is known of it."""
AUDIT_TYPE, STATUS_TYPE = "lrm_msgs/msg/SimAudit", "lrm_msgs/msg/EpisodeStatus"
AUDIT, PRIVILEGED = "audit: true progress of the simulator", "columns privileged.progress and privileged.success"
BUILT = "true progress in the training set"
NEXT_REWARD = "column next.reward, summed up"
_FACTS = "lrm_episodes.jsonl"
_COLUMNS = ("privileged.progress", "privileged.success", "next.success", "next.reward")
_NS = 1e9


def truth_of(path: Path, recording: Recording, labels: Mapping[str, Label], successful: bool = False) -> TruthOf:
    """What is known of the episodes of a recording; labels of people go before what the recording says of outcomes.

    Args:
        path: the input.
        recording: the same, opened.
        labels: of people.
        successful: an episode of which no outcome is known succeeded: it is a demonstration.
    """
    recorded: TruthOf = lambda name, stamps_ns: Truth()  # noqa: E731
    if isinstance(recording, DatasetEpisodes):
        recorded = _of_dataset(path)
    elif isinstance(recording, BuiltEpisode):
        recorded = lambda name, stamps_ns: _of_built(recording)  # noqa: E731
    elif getattr(recording, "bag", None) is not None:
        recorded = _of_bag(recording)
    return lambda name, stamps_ns: _labelled(recorded(name, stamps_ns), name, stamps_ns, path, labels, successful)


def labels_only(path: Path, labels: Mapping[str, Label], successful: bool = False) -> TruthOf:
    """The same where the recording itself is not there any more."""
    return lambda name, stamps_ns: _labelled(Truth(), name, stamps_ns, path, labels, successful)


def seconds(stamps_ns: np.ndarray) -> np.ndarray:
    """(Q,) seconds since the first stamp."""
    stamps_ns = np.asarray(stamps_ns, np.int64)
    return (stamps_ns - stamps_ns[0]) / _NS if len(stamps_ns) else np.zeros(0)


def _labelled(
    truth: Truth, name: str, stamps_ns: np.ndarray, path: Path, labels: Mapping[str, Label], successful: bool
) -> Truth:
    label = label_for(labels, name, path.name, path.stem)
    success, outcome = label.success, label.outcome
    if success is None:
        success, outcome = truth.success, truth.outcome
    if success is None and successful:
        success, outcome = True, SUCCESS
    truth = replace(truth, success=success, outcome=outcome)
    if len(truth.progress) or success is None:
        return truth
    timed = by_time(success, outcome, seconds(stamps_ns))
    if not len(truth.t_s):
        return timed
    # An oracle reward of the recording stays; true progress comes from time, at the oracle's own times.
    share = np.clip(np.interp(truth.t_s, timed.t_s, timed.progress), 0.0, 1.0) if len(timed.t_s) else timed.progress
    return replace(truth, progress=share)


def _of_bag(recording: Any) -> TruthOf:
    """The simulator's audit; without one, what a person said at the end of a demonstration."""
    audited, topic = _of_audit(recording), recording.topic_of(STATUS_TYPE)
    said = {
        str(fields.episode_id): success
        for _, fields in (recording.bag.decoded([topic]) if topic is not None else ())
        if (success := judged(str(fields.termination_reason))) is not None
    }

    def of(name: str, asked_ns: np.ndarray) -> Truth:
        truth = audited(name, asked_ns)
        if truth.success is not None or name not in said:
            return truth
        return Truth(said[name], SUCCESS if said[name] else "failure")

    return of


def _of_audit(recording: Any) -> TruthOf:
    topic = recording.topic_of(AUDIT_TYPE)
    audits = [
        (_stamp_ns(fields.header.stamp), float(fields.progress), bool(fields.success), str(fields.outcome))
        for _, fields in (recording.bag.decoded([topic]) if topic is not None else ())
    ]
    stamps_ns = np.array([row[0] for row in audits], np.int64)

    def of(name: str, asked_ns: np.ndarray) -> Truth:
        inside = [row for row in audits if asked_ns[0] <= row[0] <= asked_ns[-1]] if len(stamps_ns) else []
        if not inside:
            return Truth()
        t_s = (np.array([row[0] for row in inside], np.int64) - int(asked_ns[0])) / _NS
        progress, done = np.array([row[1] for row in inside]), np.array([float(row[2]) for row in inside])
        return Truth(bool(done[-1]), inside[-1][3], t_s, progress, progress, done, AUDIT)

    return of


def _stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _of_dataset(folder: Path) -> TruthOf:
    """Columns of a LeRobotDataset, without its pictures. Episodes are named ``<dataset>-<index>``."""
    import pyarrow.dataset

    table = pyarrow.dataset.dataset(folder / "data", format="parquet")
    kept = [name for name in _COLUMNS if name in table.schema.names]
    rows = table.to_table(columns=["episode_index", "timestamp", *kept]).to_pydict()
    columns = {name: np.ravel(np.array(values, float)) for name, values in rows.items()}
    facts = _facts(folder / "meta" / _FACTS)

    def of(name: str, asked_ns: np.ndarray) -> Truth:
        index = int(name.rsplit("-", 1)[-1])
        inside = columns["episode_index"] == index
        found = {key: values[inside] for key, values in columns.items()}
        return _from_columns(found, facts.get(index, ""))

    return of


def _from_columns(found: Mapping[str, np.ndarray], outcome: str) -> Truth:
    t_s = found["timestamp"] - found["timestamp"][0]
    done = found.get("privileged.success", found.get("next.success", np.zeros(0)))
    success = bool(done[-1]) if len(done) and np.isfinite(done[-1]) else None
    outcome = outcome or ("" if success is None else SUCCESS if success else "failure")
    progress = found.get("privileged.progress")
    if progress is not None and (known := np.isfinite(progress)).any():
        done = done[known] if len(done) else done
        return Truth(success, outcome, t_s[known], progress[known], progress[known], done, PRIVILEGED)
    reward = found.get("next.reward", np.zeros(0))
    if np.any(reward != 0.0) and np.isfinite(reward).all():  # a sum with a part unknown is unknown
        return Truth(success, outcome, t_s, cumulative=np.cumsum(reward), done=done, oracle=NEXT_REWARD)
    return Truth(success, outcome)


def _of_built(recording: BuiltEpisode) -> Truth:
    """What a training set has for the answers of an episode."""
    facts = recording.facts
    outcome = facts.episode.outcome
    success = {SUCCESS: True, "failure": False}.get(outcome)
    progress = np.array(facts.progress, float)
    known = np.isfinite(progress)
    if not known.any():
        return Truth(success, outcome)
    t_s, done = seconds(recording.stamps_ns)[known], np.array(facts.success, float)
    return Truth(success, outcome, t_s, progress[known], progress[known], done[known] if len(done) else done, BUILT)


def _facts(path: Path) -> dict[int, str]:
    """Outcome by episode, of a dataset that this project recorded."""
    if not path.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {index: str(line["outcome"]) for index, line in enumerate(lines)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(
            "facts of the dataset", str(path), "one JSON object with an outcome per line", str(error)
        ) from error
