"""``lrm up``: the same processes as the launch files, from the same parameter files, kept alive by the supervisor."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path

from rich.console import Console

from lrm_bringup.environment import run_environment
from lrm_bringup.graph import GRAPHS, Deployment, processes
from lrm_bringup.processes import EventKind, ProcessEvent, Supervisor
from lrm_bringup.start import process_specs


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "graph", choices=sorted(GRAPHS), help="which processes: the simulator's whole graph, a robot's, …"
    )
    parser.add_argument(
        "--params",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="a parameter file read after the shipped ones; may be repeated",
    )
    parser.add_argument("--namespace", default="", help="namespace of every node, for a second robot")
    parser.add_argument("--record", action="store_true", help="start the recorder too")
    parser.add_argument(
        "--sim",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="simulated time waits for the policy, or follows the wall clock (default: lockstep)",
    )
    parser.add_argument("--robot", help="robot description: a name in config/robots or a YAML file")
    parser.add_argument("--model", help="reward model: a folder or a hub name")
    parser.add_argument("--policy", help="base policy: a LeRobot folder or a hub name")
    parser.add_argument(
        "--use-sim-time", action=argparse.BooleanOptionalAction, help="time comes from /clock (default: in lock-step)"
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warn", "error", "fatal"))
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path("out/up") / time.strftime("%Y%m%d-%H%M%S"),
        metavar="DIR",
        help="folder of the log files (default: out/up/<time>)",
    )


def run(args: argparse.Namespace) -> int:
    """Start the graph and keep it up until Ctrl-C, SIGTERM or a process that ends for good."""
    lockstep = args.graph == "sim" and args.sim == "lockstep"
    deployment = Deployment(
        args.namespace,
        args.log_level,
        {
            "autostart": True,
            "use_sim_time": lockstep if args.use_sim_time is None else args.use_sim_time,
            "lockstep": lockstep,
            "camera_noise": False if args.graph == "sim" else None,
            "model": args.model,
            "robot": args.robot,
            "policy": args.policy,
        },
    )
    nodes = processes(args.graph, args.record)
    specs = process_specs(nodes, deployment, args.logs, run_environment(None), args.params)
    console = Console(highlight=False)
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    console.print(f"logs in {args.logs}, Ctrl-C stops")
    with Supervisor(specs, on_event=lambda event: console.print(describe(event))) as supervisor:
        while not interrupted.wait(0.2):
            supervisor.check()
    return 0


def describe(event: ProcessEvent) -> str:
    """One line about an event."""
    detail = f": {event.message}" if event.message and event.kind in (EventKind.CRASHED, EventKind.FAILED) else ""
    return f"{event.name} {event.kind.value} (pid {event.pid}){detail}"
