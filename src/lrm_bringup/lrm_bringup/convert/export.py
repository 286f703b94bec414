"""Bags into one LeRobotDataset (v3): opened, aligned, written piece by piece, and put in its place as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_bringup.convert import columns
from lrm_bringup.convert.episode import NS, Aligned, RecordedEpisode, align
from lrm_bringup.convert.pieces import PictureStream, Piece, Shapes
from lrm_bringup.convert.provenance import EXPORT, bag_facts, piece_facts, write_card
from lrm_bringup.convert.stats import KnownNumbers
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_core.robot import StateUnits

if TYPE_CHECKING:
    from lrm_bringup.convert.ros.robot_bag import RobotBag
    from lrm_bringup.convert.ros.topics import TopicNames

OUTCOMES = ("status", "audit")
KEPT = ("all", "successful")


@dataclass(frozen=True)
class ExportOptions:
    """How bags become a dataset.

    Attributes:
        names: topics that are named.
        fps: rows per second; 0: the control rate of the first bag, or the rate of its first camera.
        tolerance_s: how far a message may be from its row; 0: half a period.
        task: replaces the recorded sentence.
        log_time: stamps are log times.
        head: whose score is ``next.reward``.
        success_from: one of :data:`OUTCOMES`.
        keep: one of :data:`KEPT`.
        min_frames: shorter pieces are left out.
        use_videos: cameras as video, else as PNG.
        overwrite: replace a dataset that is there.
        units: of the robot's state; None: as the bags say them.
    """

    names: TopicNames
    fps: int = 0
    tolerance_s: float = 0.0
    task: str = ""
    log_time: bool = False
    head: str = RewardHead.FUSED.value
    success_from: str = "status"
    keep: str = "all"
    min_frames: int = 2
    use_videos: bool = True
    overwrite: bool = False
    units: StateUnits | None = None


@dataclass
class Exported:
    """What was written.

    Attributes:
        pieces: episodes of the dataset.
        frames: rows.
        problems: one line each: gaps, faults of bags, what was left out.
        refused: bag -> why it is not in the dataset.
    """

    pieces: list[Piece] = field(default_factory=list)
    frames: int = 0
    problems: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Exporter:
    """Writes one dataset from several bags.

    Args:
        out: folder of the dataset.
        options: see there.
        progress: told how many bags are done, with the share of the one that is being read.
    """

    def __init__(self, out: Path, options: ExportOptions, progress: Callable[[float], None] = lambda _: None) -> None:
        self._out, self._options, self._progress = out, options, progress
        self._dataset: Any = None
        self._fps, self._shapes = options.fps, Shapes()
        self._joints: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._known = KnownNumbers()
        self._inputs: list[dict[str, Any]] = []
        self._refusal: BadInput | None = None
        self.result = Exported()

    def run(self, bags: Sequence[Path]) -> Exported:
        """Export; what came of it.

        Raises:
            BadInput: the folder exists, or no bag gave an episode.
        """
        from lrm_sim.lerobot_folder import new_dataset

        self._check_out()
        rows = self._rows(bags)
        first = next(rows, None)
        if first is None and len(bags) == 1 and self._refusal is not None:
            raise self._refusal
        if first is None:
            raise BadInput("bags", [path.name for path in bags], "one with an episode to export", self._why())
        target = self._out if not self._out.exists() else self._out.with_name(f"{self._out.name}.new")
        shutil.rmtree(target, ignore_errors=True)
        shape = columns.features(self._shapes, *self._joints, self._options.use_videos)
        with new_dataset(target, self._fps, shape, "ros2", use_videos=self._options.use_videos) as self._dataset:
            self._add(first)
            for row in rows:
                self._add(row)
            self._finish()
        if target != self._out:
            shutil.rmtree(self._out)
            target.rename(self._out)
        return self.result

    def _check_out(self) -> None:
        """Nothing but a dataset is ever replaced, and that only where it is asked."""
        from lrm_sim.lerobot_folder import check_new

        if not self._options.overwrite:
            check_new(self._out)
        elif self._out.exists() and not (self._out / "meta" / "info.json").is_file():
            raise BadInput("--out", str(self._out), "a new folder, or a LeRobotDataset that is replaced")

    def _add(self, row: dict[str, Any] | None) -> None:
        """One row, or None for the end of a piece."""
        if row is None:
            self._dataset.save_episode(parallel_encoding=False)
            return
        self._known.add(row)
        self._dataset.add_frame(row)
        self.result.frames += 1

    def _finish(self) -> None:
        self._dataset.finalize()
        self._known.correct(self._dataset)
        facts = {
            "settings": {"fps": self._fps, "head": self._options.head, "success_from": self._options.success_from,
                         "keep": self._options.keep, "tolerance_s": self._tolerance_ns() / NS,
                         "rewards": self._options.names.rewards, "log_time": self._options.log_time},
            "bags": self._inputs, "episodes": [piece_facts(piece) for piece in self.result.pieces],
            "problems": self.result.problems, "refused": self.result.refused,
        }  # fmt: skip
        (self._dataset.root / "meta" / EXPORT).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        write_card(self._dataset, facts)

    def _rows(self, bags: Sequence[Path]) -> Iterator[dict[str, Any] | None]:
        """Rows of all bags; None after the last row of every piece."""
        from lrm_bringup.convert.ros.robot_bag import RobotBag

        options = self._options
        for path in bags:
            try:
                bag = RobotBag(path, options.names, options.task, options.log_time, options.units)
                aligned = self._aligned(bag)
                stream = PictureStream(bag, aligned)
                self._fit(bag, stream.shapes)
            except BadInput as error:
                self._refusal, self.result.refused[path.name] = error, str(error)
                continue
            self._inputs.append(bag_facts(path, bag))
            for one in aligned:
                yield from self._episode(bag, one, stream)
            self.result.problems += [f"{bag.name}: {problem}" for problem in bag.problems]

    def _aligned(self, bag: RobotBag) -> list[Aligned]:
        if not self._fps and not bag.period_s:
            raise BadInput(f"frames of {bag.name}", "one", "at least two, or --fps")
        self._fps = self._fps or max(1, round(1.0 / bag.period_s))
        tolerance_ns = self._tolerance_ns()
        return [
            align(episode, bag.frames_ns, bag.joints, bag.commands, self._fps, tolerance_ns)
            for episode in bag.episodes
            if self._options.keep == "all" or self._is_success(bag, episode)
        ]

    def _is_success(self, bag: RobotBag, episode: RecordedEpisode) -> bool:
        success = episode.success(self._options.success_from)
        if not success:
            reason = "its outcome is unknown" if success is None else "no success"
            self.result.problems.append(f"{bag.name}: {episode.episode_id} is left out: {reason}")
        return bool(success)

    def _tolerance_ns(self) -> int:
        return round(self._options.tolerance_s * NS) if self._options.tolerance_s else round(0.5 * NS / self._fps)

    def _fit(self, bag: RobotBag, shapes: Shapes) -> None:
        """The first bag says what the columns are; the others have to have the same."""
        joints = bag.joint_names, bag.command_names
        if not shapes:
            return
        if not self._shapes:
            self._shapes, self._joints = shapes, joints
        if (self._shapes, self._joints) != (shapes, joints):
            allowed = f"cameras {self._shapes}, joints {self._joints}, as the bags before it"
            raise BadInput(f"bag {bag.name}", f"cameras {shapes}, joints {joints}", allowed)

    def _episode(self, bag: RobotBag, one: Aligned, stream: PictureStream) -> Iterator[dict[str, Any] | None]:
        """Rows of one episode, piece by piece. A piece is held back until it is long enough."""
        self._tell(bag, one)
        success = one.episode.success(self._options.success_from)
        rows: list[dict[str, Any]] = []
        first, number = -1, 0
        for slot in stream.slots(one):
            first = slot.number if first < 0 else first
            rows.append(columns.row(one, slot, self._options.head, success))
            frames = slot.number + 1 - first
            if frames >= self._options.min_frames:
                yield from rows
                rows.clear()
            self._progress(len(self._inputs) - 1 + slot.number / len(one.slots_ns))
            if slot.goes_on:
                continue
            if rows:
                self._leave_out(bag, one, frames)
            else:
                number += 1
                self.result.pieces.append(Piece(bag.name, one, first, slot.number, number, success))
                yield None
            rows, first = [], -1

    def _leave_out(self, bag: RobotBag, one: Aligned, frames: int) -> None:
        text = f"{one.episode.episode_id}: a piece of {frames} frames is left out; --min-frames is"
        self.result.problems.append(f"{bag.name}: {text} {self._options.min_frames}")

    def _tell(self, bag: RobotBag, one: Aligned) -> None:
        name = f"{bag.name}: {one.episode.episode_id}"
        self.result.problems += [f"{name}: gap: {gap.text(self._fps)}" for gap in one.gaps]
        if one.homeless:
            self.result.problems.append(f"{name}: {one.homeless} rewards are about frames that are in no row")
        if not one.episode.complete:
            self.result.problems.append(f"{name}: its end was not recorded")

    def _why(self) -> str:
        return "; ".join([f"{name}: {why}" for name, why in self.result.refused.items()] + self.result.problems)[:600]
