"""``lrm up``: the same processes as the launch files, from the same parameter files, kept alive by the supervisor."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path

from rich.console import Console

from lrm_bringup.arguments import ARGUMENTS, Argument, plan
from lrm_bringup.environment import run_environment
from lrm_bringup.graph import GAZEBO, GRAPHS
from lrm_bringup.processes import EventKind, ProcessEvent, RestartPolicy, Supervisor
from lrm_bringup.start import process_specs
from lrm_core.errors import BadInput


def configure(parser: argparse.ArgumentParser) -> None:
    """Options: the launch arguments, spelled as options."""
    parser.add_argument(
        "graph", choices=sorted(GRAPHS), help="which processes: the simulator's whole graph, a robot's, …"
    )
    parser.add_argument("bag", nargs="?", help="right after replay: the recorded run to play")
    for argument in ARGUMENTS:
        if argument.name not in ("params", "bag"):
            _add(parser, argument)
    parser.add_argument(
        "--params",
        metavar="FILE",
        action="append",
        default=[],
        help="a parameter file read after the shipped ones; may be repeated",
    )
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path("out/up") / time.strftime("%Y%m%d-%H%M%S"),
        metavar="DIR",
        help="folder of the log files (default: out/up/<time>)",
    )


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    option = "--" + argument.name.replace("_", "-")
    where = f" [{', '.join(argument.graphs)}]" if argument.graphs else ""
    text = f"{argument.meaning}{where}" + (f" (default: {argument.default})" if argument.default else "")
    if argument.flag:
        parser.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
    else:
        parser.add_argument(option, choices=argument.choices or None, help=text)


def given(args: argparse.Namespace) -> dict[str, str]:
    """The options that were given, as launch arguments."""
    values = {argument.name: getattr(args, argument.name) for argument in ARGUMENTS}
    values["params"] = ",".join(args.params) or None
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }


def run(args: argparse.Namespace) -> int:
    """Start the graph and keep it up until Ctrl-C, SIGTERM or a process that ends for good."""
    wanted = plan(args.graph, given(args))
    if GAZEBO in wanted.nodes:
        fix = f"ros2 launch lrm_bringup {args.graph}.launch.py sim:=gazebo starts Gazebo too (docs/gazebo.md)."
        raise BadInput("--sim", "gazebo", "mujoco: only a launch file can start Gazebo", fix)
    env = run_environment(None, discovery_range=wanted.discovery_range)
    specs = process_specs(wanted.nodes, wanted.deployment, args.logs, env, wanted.files)
    policy = RestartPolicy() if wanted.respawn else RestartPolicy(limit=0)
    console = Console(highlight=False, markup=False)  # a reason may have brackets in it
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    console.print(f"logs in {args.logs}, Ctrl-C stops")
    with Supervisor(specs, policy, on_event=lambda event: console.print(describe(event))) as supervisor:
        while not interrupted.wait(0.2):
            supervisor.check()
    return 0


def describe(event: ProcessEvent) -> str:
    """One line about an event."""
    detail = f": {event.message}" if event.message and event.kind in (EventKind.CRASHED, EventKind.FAILED) else ""
    return f"{event.name} {event.kind.value} (pid {event.pid}){detail}"
