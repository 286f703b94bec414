"""Proof of the safety stage: fuzzed commands against an independent oracle, and real processes that are killed.

    python bench/safety.py                        # ten million commands, a table
    python bench/safety.py --json out/safety.json
    python bench/safety.py --commands 100000 --trials 0    # the fuzz alone, short
    chrt -f 10 python bench/safety.py             # with real-time priority, as published (docs/safety.md)

Exit code 1: an emitted command broke a limit, or after a loss the commands stood still later than 100 ms (100 Hz,
time-outs of 30 ms), or a real arm's file with the parameters as shipped held later than 100 ms. How long that arm's
commands then take to stand still depends on its speed and its limits; it is in the figures.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(folder) for folder in sorted((ROOT / "src").iterdir()) if (folder / folder.name).is_dir()]
sys.path[:0] = [str(ROOT), *SOURCES]

from bench.program import end, options, write_json  # noqa: E402  (what it imports is in SOURCES)

REAL = ("so101", "franka_fr3", "ur5e")
STOP_BAR_S = 0.1
"""From a loss until the commands stand still; with the shipped time-outs until the stage holds."""


def main() -> int:
    """Measure, print, write."""
    parser = options(__doc__)
    parser.add_argument("--commands", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=5, help="losses of each kind; 0: no processes are started")
    args = parser.parse_args()
    figures = fuzz(args.commands, args.seed)
    if args.trials:
        figures |= processes(args.trials)
    print(json.dumps(figures, indent=2))
    write_json(args.json, figures)
    missed = misses(figures)
    for line in missed:
        sys.stderr.write(f"missed: {line}\n")
    return 1 if missed else 0


def misses(figures: dict[str, Any]) -> list[str]:
    """Which bars the figures miss, in words."""
    broken = [f"{number} times: {kind}" for kind, number in figures["violations_by_kind"].items() if number]
    late = [("to a stand", what, s) for what, s in figures.get("stop_latency_s", {}).items()]
    for robot, shipped in figures.get("as_shipped", {}).items():
        late += [(f"until {robot} holds", what, s) for what, s in shipped["holds_s"].items()]
    return broken + [f"{what} lost: {s:g} s {to}, above {STOP_BAR_S:g} s" for to, what, s in late if s > STOP_BAR_S]


def fuzz(commands: int, seed: int) -> dict[str, Any]:
    """Commands over all settings, what broke a limit, what the stage did, what was thrown at it."""
    from bench import safety_fuzz
    from lrm_core.robot import load_robot

    settings = safety_fuzz.settings(load_robot("sim_arm"), {name: load_robot(name).limits for name in REAL})
    start_s, total, boxed, outside_m = time.monotonic(), 0, 0, 0.0
    violations, causes, kinds = Counter[str](), Counter[str](), Counter[str]()
    for index, setting in enumerate(settings):
        found = safety_fuzz.run(setting, -(-commands // len(settings)), seed + index)
        total += found.commands
        boxed += found.commands if setting.box else 0
        outside_m = max(outside_m, found.outside_m)
        violations.update(found.violations)
        causes.update(found.causes)
        kinds.update(found.kinds)
    return {
        "commands": total,
        "commands_in_a_box": boxed,
        "stops_outside_of_the_box_m": round(outside_m, 4),
        "violations": sum(violations.values()),
        "violations_by_kind": dict(violations),
        "decisions_by_cause": dict(causes),
        "hostile": dict(kinds),
        "settings": [setting.name for setting in settings],
        "fuzz_s": round(time.monotonic() - start_s, 1),
    }


def processes(trials: int) -> dict[str, Any]:
    """Stop latencies and loop jitter over real processes in a domain of their own."""
    from bench import safety_processes

    os.environ["PYTHONPATH"] = os.pathsep.join([*SOURCES, str(ROOT)])
    os.environ |= {"ROS_DOMAIN_ID": str(60 + os.getpid() % 40), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    jitter = safety_processes.loop_jitter(8.0)
    latencies = safety_processes.stop_latencies(safety_processes.short_timeouts(), trials)
    stands = {name: [round(stand_s, 4) for _, stand_s in pairs] for name, pairs in latencies.items()}
    return {
        "stop_latency_s": {name: max(values) for name, values in stands.items()},
        "stop_latencies_s": stands,
        "as_shipped": {name: as_shipped(name, trials) for name in REAL},
        "watched_rate_hz": safety_processes.RATE_HZ,
        "watched_timeout_s": safety_processes.TIMEOUT_S,
        "swing_peak_rad_per_s": round(2.0 * math.pi * safety_processes.SWING_HZ * safety_processes.SWING_RAD, 2),
        "loop_500hz": {name: round(value, 4) for name, value in jitter.items()},
    }


def as_shipped(name: str, trials: int) -> dict[str, Any]:
    """Longest times from a loss to a hold and to a stand: a real arm's file, parameters as shipped."""
    from bench import safety_processes
    from lrm_core.robot import load_robot
    from lrm_policy_node.safety.params import SafetyParams
    from lrm_policy_node.safety.timeouts import reactions

    with TemporaryDirectory() as folder:
        latencies = safety_processes.stop_latencies(safety_processes.as_shipped(name, Path(folder)), trials)
    most = [{what: round(max(pair[i] for pair in pairs), 4) for what, pairs in latencies.items()} for i in (0, 1)]
    params = SafetyParams(emergency_stop_timeout_s=safety_processes.HEARTBEAT_S)
    expected = {what: round(wait_s, 3) for what, wait_s in reactions(params, load_robot(name)).items()}
    return {"holds_s": most[0], "stands_s": most[1], "expected_s": expected}


if __name__ == "__main__":
    end(main)
