"""``lrm replay``: recorded runs scored again, with another model or the same."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.progress import bar
from lrm_core.errors import BadInput

if TYPE_CHECKING:
    from lrm_bringup.replay.agreement import Agreement, RewardKey
    from lrm_bringup.replay.rows import Row
    from lrm_bringup.replay.run import Replayed, ReplayOptions
    from lrm_bringup.replay.series import Series


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT",
        help="bag (folder, .mcap, .db3), folder of bags, LeRobotDataset, video file or folder of pictures")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="write a bag, a table and a page per input below this folder")
    add("--check", action="store_true", help="compare with the recorded rewards; exit code 1 unless all agree")
    configure_recordings(parser)
    add("--mode", action="append", default=[], metavar="NAME[=MODEL]",
        help="reward mode (lrm modes lists them), of a model of its own or of every --model; again: side by side. "
        "Default: the heads and their fusion")  # fmt: skip
    add("--no-images", action="store_true", help="leave camera topics out of the new bag")
    add("--merged", action="store_true",
        help="write the rewards under the names of the recorded ones, which are left out of the new bag")  # fmt: skip
    add("--overwrite", action="store_true", help="do inputs again that are done")


def configure_recordings(parser: argparse.ArgumentParser) -> None:
    """Options that say how recordings are read, and what models are asked about them and how."""
    from lrm_reward_node.options import configure_pipeline

    add = parser.add_argument
    add("--task", action="append", default=[], metavar="SENTENCE",
        help="replaces the recorded task, needed where none is recorded; again: several side by side")  # fmt: skip
    configure_pipeline(parser)
    # None, or empty: nobody said, and then the bag does.
    parser.set_defaults(
        model=[], readout=None, parsing=None, fusion=None, calibration=None, camera_check=None, swap=None,
        quantization=None,
    )  # fmt: skip
    _repeatable(parser, "--model", "checkpoint; give it again for several models side by side (all in memory)")
    add("--topic", action="append", default=[], metavar="NAME",
        help="camera topic or name; again for several cameras. Default: front, or the only one")  # fmt: skip
    add("--camera-quorum", type=int, default=0, help="cameras that have to know for a verdict; 0: all")
    add("--log-time", action="store_true", help="take the log time of frames in place of their header stamps")
    add("--query-rate-hz", type=float, default=0.0,
        help="queries per second; default: as the recorded policy asked, else 1")  # fmt: skip
    add("--picture-rate-hz", type=float, default=1.0, help="pictures per second of a folder of pictures")
    add("--batch", type=int, default=8, help="frames in one batch of the model")


def run(args: argparse.Namespace) -> int:
    """Replay; returns the exit code."""
    from lrm_bringup.replay.models import OpenedSeries
    from lrm_bringup.replay.recorded import options_as_recorded, recorded_params
    from lrm_bringup.replay.run import expand

    if not (args.out or args.check):
        raise BadInput("--out", None, "a folder", "Or --check, which writes nothing.")
    options = replace(
        replay_options(args), images=not args.no_images, merged=args.merged, out=args.out, overwrite=args.overwrite
    )
    inputs = expand(args.inputs)
    _unlike(inputs)
    series_of = OpenedSeries(args)
    refused, frames, queries, checks = 0, 0, 0, Checks()
    started_s = time.monotonic()
    for path in inputs:
        try:
            recorded = recorded_params(path)
            series = series_of(recorded)
            replayed = _one(path, series, options_as_recorded(options, recorded), args.check)
        except BadInput as error:
            refused += 1
            print(f"lrm replay: {path}: {error}", file=sys.stderr)
            continue
        if replayed is not None:
            frames, queries = frames + replayed.decoded.frames, queries + replayed.scored * len(series)
            _tell(replayed)
            if args.check:
                checks.add(replayed)
    disagree = not checks.settled()
    wall_s = time.monotonic() - started_s
    print(f"{frames} frames read, {queries} queries scored in {wall_s:.1f} s: {frames / wall_s:.1f} frames per second")
    return 2 if refused else int(disagree)


def _repeatable(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Let an option that other commands take once be given several times."""
    action = parser._option_string_actions.pop(name)
    action.container._remove_action(action)  # type: ignore[attr-defined]
    parser.add_argument(name, action="append", default=[], help=text)


def replay_options(args: argparse.Namespace) -> ReplayOptions:
    """How recordings are read and asked about; raises BadInput for a value that is out of range."""
    from lrm_bringup.replay.run import ReplayOptions
    from lrm_reward_node.prompts import check_task

    for name in ("query_rate_hz", "picture_rate_hz"):
        if not 0.0 <= getattr(args, name) <= 1000.0 or (name == "picture_rate_hz" and not args.picture_rate_hz):
            raise BadInput(f"--{name.replace('_', '-')}", getattr(args, name), "a rate in Hz, up to 1000")
    if not 1 <= args.batch <= 1024:
        raise BadInput("--batch", args.batch, "1 to 1024")
    for task in args.task:
        check_task(task)
    if len(set(args.task)) < len(args.task):
        raise BadInput("--task", args.task, "sentences that differ")
    return ReplayOptions(
        task=(args.task or [""])[0], topics=tuple(args.topic), log_time=args.log_time, query_rate_hz=args.query_rate_hz,
        picture_rate_hz=args.picture_rate_hz, quorum=args.camera_quorum, batch=args.batch,
    )  # fmt: skip


def _unlike(inputs: list[Path]) -> None:
    names = [_name(path) for path in inputs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput("inputs", twice, "inputs of different names", "Each gets the folder of its name below --out.")


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _one(path: Path, series: list[Series], options: ReplayOptions, check: bool) -> Replayed | None:
    """One input; None when it was done before and nothing is to be checked."""
    from lrm_bringup.replay.run import is_done, open_recording, replay_one, settings, write

    folder = options.out / _name(path) if options.out else None
    made_with = settings(path, series, options) if path.exists() else {}
    done = folder is not None and not options.overwrite and is_done(folder, made_with)
    if done:
        print(f"{folder}: done before")
    if done and not check:
        return None
    recording = open_recording(path, options)
    with bar(_name(path), recording.frames) as progress:
        replayed = replay_one(recording, series, options, progress)
    if folder is not None and not done:
        write(replayed, folder, made_with, options)
        print(f"{folder}: {replayed.scored} queries about {replayed.decoded.frames} frames")
    return replayed


def _tell(replayed: Replayed) -> None:
    """Say what was met."""
    name = replayed.recording.name
    print(f"{name}: " + "; ".join(f"{camera} {timing}" for camera, timing in replayed.decoded.cameras.items()))
    for problem in replayed.problems:
        print(f"{name}: {problem}", file=sys.stderr)


class Checks:
    """Whether replays agree with their recordings. What one input cannot tell waits for the others."""

    def __init__(self) -> None:
        self._agree = True
        self._waiting: list[tuple[str, str, Agreement]] = []
        self._replayed: dict[str, dict[RewardKey, Row]] = {}

    def add(self, replayed: Replayed) -> None:
        """Say how one input agrees, unless it holds rewards of an episode that may be in another one."""
        from lrm_bringup.replay.agreement import verdicts

        for model, agreement in replayed.agreements.items():
            rows = [row for row in replayed.rows if row.model == model]
            self._replayed.setdefault(model, {}).update(verdicts(rows))
            if agreement.strays:
                self._waiting.append((replayed.recording.name, model, agreement))
            else:
                self._say(replayed.recording.name, model, agreement)

    def settled(self) -> bool:
        """Say the rest; True when everything agrees."""
        for name, model, agreement in self._waiting:
            agreement.settle(self._replayed[model])
            self._say(name, model, agreement)
        self._waiting.clear()
        return self._agree

    def _say(self, name: str, model: str, agreement: Agreement) -> None:
        print(f"{name}, {model}: {agreement}")
        self._agree &= agreement.whole
