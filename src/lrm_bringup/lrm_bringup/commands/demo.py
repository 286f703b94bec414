"""``lrm demo``: measure the base policy, refine it from rewards, measure it again, report."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from lrm_bringup.demo.options import REWARDS, SPEEDS, DemoOptions
from lrm_bringup.demo.plan import DemoSize
from lrm_sim.tasks import DEMO_TASK


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("--seconds", type=float, default=1080.0, help="wall time for everything; the plan adapts (default %(default)g)")
    add("--episodes", type=int, default=60, help="refined episodes at most (default %(default)s)")
    add(
        "--eval-episodes",
        type=int,
        default=50,
        metavar="N",
        help="scenes of each measurement at most (default %(default)s)",
    )
    add("--seed", type=int, default=0, help="scenes, exploration and learner (default %(default)s)")
    add(
        "--reward",
        choices=REWARDS,
        default="lrm",
        help="learn from the reward model, the simulator's progress (a ceiling) or its success (default lrm)",
    )
    add("--task", default=DEMO_TASK, help='task sentence (default: "%(default)s")')
    add("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="where runs are kept (default %(default)s)")
    add(
        "--speed",
        choices=SPEEDS,
        default="lockstep",
        help="simulated time waits for the policy, or follows the wall clock (default lockstep)",
    )
    add(
        "--live", action=argparse.BooleanOptionalAction, default=True, help="one live screen, where there is a terminal"
    )
    add("--model", help="reward model: a folder or a hub name")
    add("--policy", help="base policy: a LeRobot folder, a name in models/, or a hub name")
    add(
        "--warm-start",
        type=Path,
        metavar="DIR",
        help="the learner also starts from the transitions of recorded runs (lrm train critic writes them)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit code."""
    from lrm_bringup.demo.run import run_demo

    size = DemoSize(args.seconds, args.episodes, args.eval_episodes)
    return run_demo(
        DemoOptions(
            size, args.seed, args.task, args.reward, args.out, args.speed, args.live, args.model, args.policy,
            tuple(shlex.quote(word) for word in sys.argv[1:]), args.warm_start,
        )
    )  # fmt: skip
