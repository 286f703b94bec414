"""From inputs to judged episodes of every model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.evaluate.inputs import SCORE_FILE, SCORED, EvalInput
from lrm_bringup.evaluate.judging import judged_published, judged_rows, judged_scores
from lrm_bringup.evaluate.scores import Scored, ScoreKeeper
from lrm_bringup.evaluate.truth import TruthOf, labels_only, truth_of
from lrm_bringup.replay.events import Recording
from lrm_bringup.replay.recorded import options_as_recorded, recorded_params
from lrm_bringup.replay.rows import read_table
from lrm_bringup.replay.run import SUMMARY, TABLE, ReplayOptions, open_recording
from lrm_bringup.replay.sources import VideoFile
from lrm_core.errors import BadInput
from lrm_reward_node.evaluation.judged import JudgedEpisode

Progress = Callable[[str, int, int], None]
"""(name of the input, frames done, frames in all; 0: unknown)."""


@dataclass(frozen=True)
class Origin:
    """Where the pictures of an episode are.

    Attributes:
        path: the recording.
        options: as it was replayed with.
        start_ns: stamp of the first query.
    """

    path: Path
    options: ReplayOptions
    start_ns: int


@dataclass
class Judged:
    """Everything that is evaluated.

    Attributes:
        models: label -> fingerprint; empty where none is known.
        episodes: label -> episodes.
        origins: (source, name) -> where its pictures are.
        problems: one line each.
        refused: inputs that cannot be used, one line each.
        asked: queries that models were asked in this call.
    """

    models: dict[str, str] = field(default_factory=dict)
    episodes: dict[str, list[JudgedEpisode]] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    asked: int = 0

    def add(self, model: str, episode: JudgedEpisode, fingerprint: str = "") -> None:
        """One episode of one model."""
        self.models[model] = self.models.get(model) or fingerprint
        self.episodes.setdefault(model, []).append(episode)


@dataclass(frozen=True)
class Judge:
    """Judges one input after the other.

    Attributes:
        keeper: asks the models; None where all inputs were scored before.
        options: how recordings are replayed.
        successful: episodes of unknown outcome succeeded.
        progress: told how far it is.
    """

    keeper: ScoreKeeper | None
    options: ReplayOptions
    successful: bool = False
    progress: Progress = lambda name, done, total: None

    def judge(self, inputs: Sequence[EvalInput]) -> Judged:
        """All inputs; one that cannot be used is refused and does not stop the others.

        Raises:
            BadInput: none of them can be used, or score files cannot.
        """
        found = Judged()
        for one in inputs:
            try:
                if one.kind == SCORED:
                    self._table(one, found)
                elif one.kind != SCORE_FILE:
                    self._recording(one, found)
            except BadInput as error:
                found.refused.append(f"{one.path}: {error}")
        for model, episodes in judged_scores([one for one in inputs if one.kind == SCORE_FILE]).items():
            for episode in episodes:
                found.add(model, episode)
        if not found.episodes:
            raise BadInput("inputs", [str(one.path) for one in inputs], "at least one that can be used",
                           "; ".join(found.refused)[:600])  # fmt: skip
        return found

    def _recording(self, one: EvalInput, found: Judged) -> None:
        if self.keeper is None:
            raise BadInput("input", str(one.path), "a table of scores: no model is given")
        label = one.label
        options = replace(self.options, task=self.options.task or label.task)
        options = options_as_recorded(options, recorded_params(one.path))
        recording = open_recording(one.path, options)
        if label.published and isinstance(recording, VideoFile) and not options.query_rate_hz:
            options = replace(options, query_rate_hz=recording.rate_hz)  # every frame has a published value
        total = 2 * recording.frames
        scored = self.keeper.scores(
            one.path, recording, options, lambda done: self.progress(one.name, done, max(total, done))
        )
        found.asked += scored.asked
        found.problems += [f"{one.name}: {problem}" for problem in scored.problems]
        names = self._add(
            one, one.path, scored, truth_of(one.path, recording, one.labels, self.successful), found, options
        )
        if label.published:
            self._published(one, names, recording, found)

    def _table(self, one: EvalInput, found: Judged) -> None:
        folder = one.path if one.path.is_dir() else one.path.parent
        rows = read_table(folder / TABLE if one.path.is_dir() else one.path)
        scored = Scored(
            {model: [r for r in rows if r.model == model] for model in dict.fromkeys(r.model for r in rows)}
        )
        made = _made_with(folder)
        path = Path(str(made.get("input") or one.path))
        options = replace(
            self.options, topics=tuple(made.get("topics") or ()), log_time=bool(made.get("log_time")),
            task=str(made.get("task") or self.options.task), query_rate_hz=float(made.get("query_rate_hz") or 0.0),
            picture_rate_hz=float(made.get("picture_rate_hz") or 1.0),
        )  # fmt: skip
        truth = labels_only(path, one.labels, self.successful)
        if made and path.exists():
            truth = truth_of(path, open_recording(path, options), one.labels, self.successful)
        else:
            found.problems.append(
                f"{one.name}: the recording that was scored is not there: labels alone say what is true"
            )
        self._add(one, path, scored, truth, found, options if path.exists() and made else None)

    def _add(
        self, one: EvalInput, path: Path, scored: Scored, truth: TruthOf, found: Judged, options: ReplayOptions | None
    ) -> list[str]:
        """Add the episodes of every model; returns their names."""
        taken = set(found.origins) | {e.key for episodes in found.episodes.values() for e in episodes}
        names: dict[str, str] = {}
        for model, rows in scored.rows.items():
            judged = judged_rows(one.source, path, rows, scored.copies.get(model, []), truth)
            for episode_id, episode in judged.items():
                names.setdefault(episode_id, _free(episode.key, taken))
                episode = replace(episode, name=names[episode_id])
                found.add(model, episode, rows[0].fingerprint)
                if options is not None:
                    start_ns = min(row.stamp_ns for row in rows if row.episode_id == episode_id)
                    found.origins[episode.key] = Origin(path, options, start_ns)
        return list(names.values())

    def _published(self, one: EvalInput, names: Sequence[str], recording: Recording, found: Judged) -> None:
        if len(names) != 1:
            raise BadInput("published_progress", one.name, "a recording of one episode", f"This one has {len(names)}.")
        rate_hz = getattr(recording, "rate_hz", 0.0) or 1.0
        frames = len(next(iter(one.label.published.values())))
        curves = judged_published(one.source, names[0], one.label, np.arange(frames) / rate_hz)
        for model, episode in curves.items():
            found.add(f"{model} (published)", episode)


def unused_labels(labels: Iterable[str], inputs: Sequence[EvalInput], judged: Judged) -> list[str]:
    """Labels that name nothing that was evaluated: most likely misspelt."""
    known = {name for one in inputs for name in (one.path.name, one.path.stem)}
    ends = [f"/{one.path.as_posix()}" for one in inputs]
    known |= {episode.name for episodes in judged.episodes.values() for episode in episodes}
    return [name for name in labels if name not in known and not any(end.endswith(f"/{name}") for end in ends)]


def _free(key: tuple[str, str], taken: set[tuple[str, str]]) -> str:
    """A name that no other input uses: the same comes twice where folders have equal names."""
    free, number = key[1], 2
    while (key[0], free) in taken:
        free, number = f"{key[1]} ({number})", number + 1
    return free


def _made_with(folder: Path) -> dict[str, Any]:
    """What the table of a replay was made with; empty where nothing says so."""
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}
