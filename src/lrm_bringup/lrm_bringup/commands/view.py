"""``lrm view``: live and recorded runs in Rerun."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.environment import run_environment
from lrm_bringup.progress import bar
from lrm_core.errors import BadInput
from lrm_core.robot import load_robot, project_names

if TYPE_CHECKING:
    from lrm_bringup.view.canvas import Canvas
    from lrm_bringup.view.inputs import Drawable, Run
    from lrm_bringup.view.sinks import Sink

WEB_PORT = 9090


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("inputs", nargs="*", type=Path, metavar="INPUT",
        help="run folder of lrm demo, bag, folder of bags, LeRobotDataset, video or folder of pictures")  # fmt: skip
    add("--live", action="store_true", help="show the running graph until Ctrl-C")
    add("--namespace", default="", help="with --live: namespace of the robot")
    add("--robot", metavar="ROBOT",
        help="with --live: name in config/robots or YAML file that says its topics; a bag says so itself")  # fmt: skip
    add("--episode", action="append", default=[], metavar="N",
        help="these alone: number within the input (-1 is the last) or part of a name; may be repeated")  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--save", type=Path, metavar="FILE.rrd",
        help="write a file that `rerun` opens, in place of a window; a folder for several runs")  # fmt: skip
    where.add_argument("--web", type=int, nargs="?", const=WEB_PORT, metavar="PORT",
        help=f"show it on a page of this machine until Ctrl-C (default port: {WEB_PORT})")  # fmt: skip
    where.add_argument("--connect", metavar="URL", help="show it in a viewer elsewhere: rerun+http://HOST:9876/proxy")
    add("--overwrite", action="store_true", help="with --save: replace files that are there")
    add("--jpeg-quality", type=int, default=90, help="of raw camera pictures, 1 to 100 (default: 90)")


def run(args: argparse.Namespace) -> int:
    """Show it; returns the exit code."""
    _check(args)
    if args.live:
        return _live(args)
    from lrm_bringup.view.inputs import runs

    chosen = runs(args.inputs, args.episode)
    shared = None if args.save else _shared_sink(args)
    refused, shown = 0, []
    for one, path in zip(chosen, _paths(chosen, args.save), strict=True):
        try:
            drawable = one.open()  # before a file is begun
            shown.append(_show(one.name, drawable, shared or _file(path, args), args))
            print(f"{one.name}: {_told(shown[-1])}{f', in {path}' if args.save else ''}")
        except BadInput as error:
            refused += 1
            print(f"lrm view: {one.path}: {error}", file=sys.stderr)
    if args.web is not None and shown:
        _serve(args.web)
    return 2 if refused else 0


def _check(args: argparse.Namespace) -> None:
    if args.live == bool(args.inputs):
        raise BadInput("INPUT", [str(path) for path in args.inputs], "recordings, or --live, and not both")
    if args.robot and not args.live:
        raise BadInput("--robot", args.robot, "together with --live", "A bag of lrm up --robot says whose it is.")
    if args.namespace and not args.live:
        raise BadInput("--namespace", args.namespace, "together with --live", "A bag is shown as a whole.")
    if args.episode and args.live:
        raise BadInput("--episode", args.episode, "recordings, not --live")
    if not 1 <= args.jpeg_quality <= 100:
        raise BadInput("--jpeg-quality", args.jpeg_quality, "1 to 100")
    if args.web is not None and not 1 <= args.web <= 65534:
        raise BadInput("--web", args.web, "a port, 1 to 65534; the next one is used too")


def _shared_sink(args: argparse.Namespace) -> Sink:
    """The one place where all runs go."""
    from lrm_bringup.view.sinks import WebSink, viewer_sink, window_sink

    if args.web is not None:
        return WebSink(args.web)
    return viewer_sink(args.connect) if args.connect else window_sink()


def _file(path: Path, args: argparse.Namespace) -> Sink:
    from lrm_bringup.view.sinks import file_sink

    return file_sink(path, args.overwrite)


def _paths(chosen: list[Run], save: Path | None) -> list[Path]:
    """A file per run: the one that is named, or one in the folder that is named."""
    from lrm_bringup.view.sinks import SUFFIX

    if save is None:
        return [Path()] * len(chosen)
    if save.suffix == SUFFIX and len(chosen) > 1:
        fix = "Or choose one run with --episode."
        raise BadInput("--save", str(save), f"a folder: {len(chosen)} runs need a file each", fix)
    paths = [save if save.suffix == SUFFIX else save / f"{one.name}{SUFFIX}" for one in chosen]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise BadInput("INPUT", twice.stem, "runs of different names", "Each gets the file of its name.")
    return paths


def _show(name: str, drawable: Drawable, sink: Sink, args: argparse.Namespace) -> Canvas:
    from lrm_bringup.view.canvas import Canvas
    from lrm_bringup.view.sinks import finish, new_recording

    canvas = Canvas(new_recording(name, sink), args.jpeg_quality)
    with bar(name, drawable.messages) as progress:
        problems = drawable.draw(canvas, progress)
    canvas.show_layout()
    finish(canvas.recording, keep=args.web is not None)  # a page shows a recording as long as it is open
    for problem in problems:
        print(f"{name}: {problem}", file=sys.stderr)
    if canvas.is_empty:
        raise BadInput("input", name, "a recording in which something can be drawn", "; ".join(problems)[:400])
    return canvas


def _told(canvas: Canvas) -> str:
    joints = sum("joints" in group.split("/") for group in canvas.series)
    depths = f"{sum(canvas.depths.values())} depth images and clouds, " if canvas.depths else ""
    return f"{canvas.pictures} pictures of {len(canvas.cameras)} cameras, {depths}{joints} joints"


def _live(args: argparse.Namespace) -> int:
    from lrm_bringup.view.canvas import Canvas
    from lrm_bringup.view.ros.live import LiveView
    from lrm_bringup.view.sinks import finish, new_recording

    names = project_names(load_robot(args.robot), args.namespace) if args.robot else {}
    sink = _file(args.save, args) if args.save else _shared_sink(args)
    os.environ.update(run_environment(None))  # the transport that takes large images, as the nodes have it
    stop = _stopped_by_signals()
    canvas = Canvas(new_recording(f"live {args.namespace}".strip(), sink), args.jpeg_quality)
    view = LiveView(canvas, args.namespace, names=names)
    told = _Topics()
    told.say("Ctrl-C ends it" + (f"; page: http://localhost:{args.web}" if args.web is not None else ""))
    try:
        view.run(stop, told)
    finally:
        view.close()
        finish(canvas.recording)
    for fault in view.faults:
        print(f"lrm view: {fault}", file=sys.stderr)
    seen = f"{sum(view.messages.values())} messages of {len(view.messages)} topics"
    print(f"{seen}{f', in {args.save}' if args.save else ''}")
    return 0


class _Topics:
    """Says each topic once, when its first message comes."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, messages: Mapping[str, int]) -> None:
        """Take the counts so far."""
        for topic in sorted(messages.keys() - self._known):
            self._known.add(topic)
            self.say(f"shows {topic}")

    def say(self, text: str) -> None:
        """One line, at once."""
        print(text, file=sys.stderr, flush=True)


def _serve(port: int) -> None:
    print(f"http://localhost:{port} shows it; Ctrl-C ends", file=sys.stderr)
    _stopped_by_signals().wait()


def _stopped_by_signals() -> threading.Event:
    """Set by Ctrl-C and SIGTERM: the way a view ends."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
