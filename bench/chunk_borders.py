"""Acceleration and jerk of the commands where one chunk ends and the next begins, beside those inside of chunks.

    python -m bench.chunk_borders                                   # the shipped policy, a table
    python -m bench.chunk_borders --episodes 2 --json out/borders.json
    python -m bench.chunk_borders --policy FOLDER --intervals 10 --delays 0 0.1 0.4

The base policy drives the MuJoCo arm in simulated real time: the arm moves on while a plan is made, which takes
--delays seconds. Each row is one setting: call_interval, delay until the plan is in use, chunk_blending, and the share
of the robot's limits that the safety stage keeps. Columns, per control period and as share of the limit: root mean
square of the arm joints' acceleration and jerk at the borders, before and after the safety stage, with the ratio to the
same inside of chunks; jerk after the stage in all steps; the largest jerk after the stage, of all joints.

At a border are the differences of commands that see a chunk end, a new plan entered, or no command for want of a plan.
Exit code 1: what left the safety stage exceeds a limit (between two commands, as the stage counts it).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(folder) for folder in sorted((ROOT / "src").iterdir()) if (folder / folder.name).is_dir()]

import numpy as np  # noqa: E402

from bench import rollout  # noqa: E402
from bench.chunk_world import RATE_HZ, ArmWorld, DelayedInference  # noqa: E402
from lrm_core.protocols import Policy  # noqa: E402
from lrm_core.robot import load_robot  # noqa: E402
from lrm_core.safety import SafetyLimits  # noqa: E402
from lrm_policy_node.lerobot.ensemble import new_blending  # noqa: E402
from lrm_policy_node.rl.actor import ResidualPolicy  # noqa: E402
from lrm_policy_node.runtime.decisions import ChunkPlanner  # noqa: E402
from lrm_policy_node.runtime.loop import EpisodeLoop  # noqa: E402
from lrm_policy_node.runtime.params import PolicyParams  # noqa: E402
from lrm_policy_node.runtime.world import EpisodeOrder  # noqa: E402
from lrm_sim import collect, tasks  # noqa: E402

FIRST_SEED = collect.REFINE_SEEDS + 6_000_000
ORDERS = ("velocity", "acceleration", "jerk")
ROUNDING = 1e-6
"""Share of a limit that differences of rounded positions may seem to exceed it by."""


@dataclass(frozen=True)
class Setting:
    """One row."""

    interval: int
    delay_s: float
    blending: str
    limits: float

    def params(self) -> PolicyParams:
        """Of the policy node."""
        return PolicyParams(
            call_interval=self.interval, chunk_blending=self.blending, control_rate_hz=RATE_HZ, use_reward=False
        )


def measure(policy: Policy, setting: Setting, seeds: list[int]) -> dict[str, Any]:
    """Figures of one setting over scene ``seeds``."""
    robot = load_robot("sim_arm")
    limits = _scaled(robot.limits, setting.limits)
    worlds = drive(policy, setting, limits, seeds)
    borders = [np.array(world.borders) for world in worlds]
    shares = [_shares(motion, limits) for world in worlds for motion in world.motions]
    return {
        "success": sum(bool(world.info["success"]) for world in worlds),
        "episodes": len(seeds),
        "delay_s": float(np.mean([delay_s for world in worlds for delay_s in world.delays_s])),
        "largest": {name: max(share[name] for share in shares) for name in ORDERS},
        "before": _figures([np.array(world.proposed) for world in worlds], borders, limits, robot.arm_joints),
        "after": _figures([np.array(world.emitted) for world in worlds], borders, limits, robot.arm_joints),
    }


def drive(policy: Policy, setting: Setting, limits: SafetyLimits, seeds: list[int]) -> list[ArmWorld]:
    """One episode per scene, by the policy node's own loop."""
    params, worlds = setting.params(), []
    blending = new_blending(params, policy.chunk_steps)
    planner = ChunkPlanner(
        policy, ResidualPolicy(), None, setting.interval, params.max_steps, blending, tail_steps=setting.interval
    )
    env = rollout.make_env(params.max_steps, setting.interval)
    for seed in seeds:
        world = ArmWorld(env, limits, setting.interval)
        loop = EpisodeLoop(params, world, planner, inference=DelayedInference(world.now, setting.delay_s))
        outcome = loop.run(EpisodeOrder(f"borders-{seed}", False, seed, tasks.DEMO_TASK))
        if outcome.message:
            raise RuntimeError(outcome.message)
        worlds.append(world)
    env.close()
    return worlds


def _scaled(limits: SafetyLimits, share: float) -> SafetyLimits:
    names = [f"{name}_max" for name in ORDERS]
    return replace(limits, **{name: getattr(limits, name) * share for name in names})


def _figures(
    episodes: list[np.ndarray], borders: list[np.ndarray], limits: SafetyLimits, arm_joints: int
) -> dict[str, Any]:
    """Of command series (N, J), one per episode: how much of each limit is used."""
    figures: dict[str, Any] = {}
    for order, name in enumerate(ORDERS, 1):
        most = getattr(limits, f"{name}_max")
        used = [np.abs(np.diff(rows, order, axis=0)) * RATE_HZ**order / most for rows in episodes]
        touched = [_touched(marks, order) for marks in borders]
        at = np.concatenate([row[mark] for row, mark in zip(used, touched, strict=True)])[:, :arm_joints]
        inside = np.concatenate([row[~mark] for row, mark in zip(used, touched, strict=True)])[:, :arm_joints]
        figures[name] = {
            "border_rms": _rms(at), "inside_rms": _rms(inside), "ratio": _rms(at) / _rms(inside),
            "rms": _rms(np.concatenate([at, inside])), "max": float(max(row[:, :arm_joints].max() for row in used)),
        }  # fmt: skip
    return figures


def _shares(motion: list[tuple[float, np.ndarray]], limits: SafetyLimits) -> dict[str, float]:
    """Largest share of each limit in a motion from rest, all joints, by differences over its own intervals."""
    intervals = np.array([interval_s for interval_s, _ in motion[1:]])[:, None]
    rows, shares = np.array([positions for _, positions in motion]), {}
    for name in ORDERS:
        rows = np.diff(rows, axis=0) / intervals
        shares[name] = float((np.abs(rows) / getattr(limits, f"{name}_max")).max())
        rows = np.concatenate([np.zeros_like(rows[:1]), rows])
    return shares


def _touched(marks: np.ndarray, order: int) -> np.ndarray:
    """(N - order,) differences of that order that have a step over a border in them; ``marks`` (N,)."""
    return np.array([marks[end - order + 1 : end + 1].any() for end in range(order, len(marks))])


def _rms(values: np.ndarray) -> float:
    """NaN for nothing: a chunk of 3 steps has no jerk inside."""
    return float(np.sqrt(np.mean(values**2))) if values.size else math.nan


def settings(args: argparse.Namespace, plan_steps: int) -> Iterator[Setting]:
    """All rows; without the blending that a policy's plans are too short for."""
    for limits, delay_s, interval in product(args.limits, args.delays, args.intervals):
        yield Setting(interval, delay_s, "none", limits)
        if plan_steps >= 2 * interval:
            yield Setting(interval, delay_s, "temporal_ensemble", limits)


def table(rows: list[dict[str, Any]]) -> Any:
    """For a terminal."""
    from rich.table import Table

    shown = Table(title="borders of chunks: rms as share of the limit (ratio to inside of chunks)")
    for column in ("K", "delay", "blending", "limits", "acc before", "jerk before", "acc after", "jerk after",
                   "jerk everywhere", "largest", "success"):  # fmt: skip
        shown.add_column(column)
    for row in rows:
        parts = [
            f"{row[side][name]['border_rms']:.3f} ({_times(row[side][name]['ratio'])})"
            for side in ("before", "after") for name in ("acceleration", "jerk")
        ]  # fmt: skip
        shown.add_row(
            str(row["interval"]), f"{row['delay_s']:.2f} s", row["blending"], f"{row['limits']:g}", *parts,
            f"{row['after']['jerk']['rms']:.3f}", f"{row['largest']['jerk']:.2f}",
            f"{row['success']}/{row['episodes']}",
        )  # fmt: skip
    return shown


def _times(ratio: float) -> str:
    return "-" if math.isnan(ratio) else f"{ratio:.1f}x"


def exceeded(row: dict[str, Any]) -> list[str]:
    """Limits that what left the safety stage exceeds."""
    return [name for name in ORDERS if row["largest"][name] > 1.0 + ROUNDING]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="act-pick-place", help="a LeRobot folder or a name in models/")
    parser.add_argument("--intervals", type=int, nargs="+", default=[10, 5, 3], metavar="K", help="call_interval")
    parser.add_argument("--delays", type=float, nargs="+", default=[0.0, 0.25], metavar="S", help="time of a plan")
    parser.add_argument("--limits", type=float, nargs="+", default=[1.0, 0.2], metavar="SHARE", help="of sim_arm's")
    parser.add_argument("--episodes", type=int, default=8, help="per setting, on the same scenes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args()
    rows = run(args)
    from rich.console import Console

    Console(width=150).print(table(rows))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    broken = [f"K {row['interval']}, {row['blending']}: {exceeded(row)}" for row in rows if exceeded(row)]
    print("\n".join(f"exceeded after the safety stage: {line}" for line in broken) or "every limit kept")
    return 1 if broken else 0


def run(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every setting, with a bar."""
    import torch
    from rich.progress import track

    from lrm_policy_node.runtime.loading import load_base_policy

    torch.set_num_threads(1)
    policy = load_base_policy(args.policy, "cpu")
    seeds = [FIRST_SEED + index for index in range(args.episodes)]
    grid = list(settings(args, policy.chunk_steps))
    return [
        {"interval": one.interval, "blending": one.blending, "limits": one.limits, "plan_s": one.delay_s}
        | measure(policy, one, seeds)
        for one in track(grid, description="settings")
    ]


if __name__ == "__main__":
    raise SystemExit(main())
