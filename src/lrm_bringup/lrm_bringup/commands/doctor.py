"""``lrm doctor``: what this machine has and lacks, each finding with what to do."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from lrm_bringup.doctor import machine, models, network, sensors
from lrm_bringup.doctor.finding import Check, Finding, Level, guarded


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--out", type=Path, default=Path("out"), help="where runs are written (default %(default)s)")
    parser.add_argument("--model", default="", help="reward model to look at: folder or hub name (default: shipped)")
    parser.add_argument("--device", default="cpu", help="where it is to run: cpu, cuda:0 (default %(default)s)")
    parser.add_argument("--full", action="store_true", help="also load the model and compare its golden scores: slow")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; returns 1 when one of them is a failure."""
    findings = look(args)
    if args.json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        for one in findings:
            print(f"{one.level.value:5} {one.name:16} {one.found}")
            if one.fix:
                print(f"{'':5} {'':16} → {one.fix}")
    return int(any(one.level is Level.FAIL for one in findings))


def look(args: argparse.Namespace) -> list[Finding]:
    """All findings, in the order in which they are shown. Those that start processes run side by side."""
    checks = _checks(args)
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(guarded, checks.keys(), checks.values()))


def _checks(args: argparse.Namespace) -> dict[str, Check]:
    from lrm_bringup.demo.identity import SHIPPED_REWARD_MODEL
    from lrm_bringup.graph import POLICY
    from lrm_bringup.parameters import shipped

    model = args.model or SHIPPED_REWARD_MODEL
    checks: dict[str, Check] = {
        "python": machine.python,
        "ROS 2": network.ros,
        "messages": network.messages,
        "DDS profile": network.dds_profile,
        "DDS discovery": network.round_trip,
        "DDS domain": network.participants,
        "shared memory": machine.shared_memory,
        "shm leftovers": machine.leftovers,
        "GPU": lambda: models.gpu(model, args.device),
        "reward model": lambda: models.weights("reward model", model, "lrm train reward-model writes it"),
        "base policy": lambda: models.weights("base policy", shipped(POLICY).policy, "lrm train policy writes it"),
        "camera devices": sensors.devices,
        "live topics": sensors.topics,
        "clock": machine.clock,
        "disk": lambda: machine.disk(args.out),
        "OpenGL": machine.opengl,
    }
    if args.full:
        checks["model scores"] = lambda: models.scores(args.model, args.device)
    return checks
