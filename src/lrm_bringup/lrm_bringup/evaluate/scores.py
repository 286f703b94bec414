"""The scores of every input by every model: kept as tables, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.evaluate.controls import copies
from lrm_bringup.replay.events import Recording
from lrm_bringup.replay.recorded import recorded_params
from lrm_bringup.replay.rows import Row, read_table, rows_of, write_table
from lrm_bringup.replay.run import ReplayOptions, replay_one, settings
from lrm_bringup.replay.scoring import Decoded, replay
from lrm_bringup.replay.series import Series
from lrm_core.disk import whole_file

if TYPE_CHECKING:
    from lrm_reward_node.params import RewardParams

FOLDER = "scores"
Progress = Callable[[int], None]


@dataclass
class Scored:
    """The scores of one input.

    Attributes:
        rows: model -> verdicts.
        copies: model -> verdicts about the copies in another order.
        problems: what was met while reading the input, one line each.
        asked: queries that the models were asked now, and not before.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    copies: dict[str, list[Row]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    asked: int = 0


class ScoreKeeper:
    """Asks the models about recordings, or takes what they said before.

    Args:
        folder: of the tables; made when the first one is written.
        series_of: opens the models for a recording, given the parameters of the reward node that it holds.
        options: how recordings are replayed.
        controls: ask about the copies too.
    """

    def __init__(
        self,
        folder: Path,
        series_of: Callable[[RewardParams | None], Sequence[Series]],
        options: ReplayOptions,
        controls: bool,
    ) -> None:
        self._folder, self._series_of, self._options, self._controls = folder, series_of, options, controls

    def scores(self, path: Path, recording: Recording, options: ReplayOptions, progress: Progress) -> Scored:
        """The scores of one recording.

        Args:
            path: the input.
            recording: the same, opened.
            options: its own, where they differ from those of all.
            progress: called with the number of frames read so far, of ``2 * recording.frames`` with copies.
        """
        found = Scored()
        series = self._series_of(recorded_params(path))
        places = {named.label: self._place(path, named, options) for named in series}
        missing = [named for named in series if not places[named.label].is_file()]
        if missing:
            self._replay(recording, missing, places, options, found, progress)
        for label, place in places.items():
            found.rows[label] = [replace(row, model=label) for row in read_table(place)]
        if self._controls:
            places = {label: place.with_suffix(".copies.parquet") for label, place in places.items()}
            missing = [named for named in series if not places[named.label].is_file()]
            if missing:
                self._ask_copies(recording, missing, places, options, found, progress)
            for label, place in places.items():
                found.copies[label] = [replace(row, model=label) for row in read_table(place)]
        return found

    def _place(self, path: Path, named: Series, options: ReplayOptions) -> Path:
        """Where the table of this input, model and these options is; other ones are in other files."""
        made_with = settings(path, [named], replace(options, out=None))
        made_with["series"] = [named.about()]  # whatever its label
        key = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:16]
        return self._folder / f"{path.resolve().name}-{key}.parquet"

    def _replay(
        self, recording: Recording, missing: list[Series], places: dict[str, Path], options: ReplayOptions,
        found: Scored, progress: Progress,
    ) -> None:  # fmt: skip
        replayed = replay_one(recording, missing, options, progress)
        found.problems += replayed.problems
        found.asked += replayed.scored * len(missing)
        for named in missing:
            rows = [row for row in replayed.rows if row.model == named.label and not row.camera]
            _write(places[named.label], rows)

    def _ask_copies(
        self, recording: Recording, missing: list[Series], places: dict[str, Path], options: ReplayOptions,
        found: Scored, progress: Progress,
    ) -> None:  # fmt: skip
        decoded, rows = Decoded(), []
        before = recording.frames
        asked = copies(recording, options, decoded)
        for one in replay(asked, missing, options.batch, options.quorum, lambda: progress(before + decoded.frames)):
            found.asked += len(missing)
            rows += [row for row in rows_of(one, missing) if not row.camera]
        for named in missing:
            _write(places[named.label], [row for row in rows if row.model == named.label])


def _write(place: Path, rows: list[Row]) -> None:
    with whole_file(place) as partial:
        write_table(partial, rows)
