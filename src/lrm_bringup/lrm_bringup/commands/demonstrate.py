"""``lrm demonstrate``: demonstrations by a person, one bag each, with their outcome."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from datetime import UTC, datetime

from lrm_bringup.environment import run_environment
from lrm_core.errors import BadInput
from lrm_core.robot import load_robot


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    parser.description = """\
Say when a demonstration begins, when it ends and how it went; a bag of each is made by the recorder, which has to run
beside driver and safety stage: `lrm up teleop --record --robot ROBOT` starts all of them.
You move the arm by the leader of its file (section leader), by another teleoperation through the safety stage, or by
hand. The arm comes to the leader slowly; hold it still meanwhile. No policy node runs.
Near misses are worth as much to the reward model as successes: answer f."""
    add("--task", required=True, help="what is demonstrated, in one sentence")
    add("--robot", required=True, metavar="ROBOT", help="name in config/robots or YAML file")
    add("--episodes", type=int, default=20, metavar="N", help="how many that count (default: %(default)s)")
    add("--namespace", default="", help="namespace of the robot")
    add(
        "--leader",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="follow the leader of the robot's file, and start its node where nobody has; without a leader: nothing",
    )
    add("--max-seconds", type=float, default=120.0, help="nothing later is scored live (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Lead through the demonstrations; returns the exit code."""
    from lrm_reward_node.prompts import check_task

    check_task(args.task)
    if args.episodes < 1:
        raise BadInput("--episodes", args.episodes, "at least 1")
    if not 1.0 <= args.max_seconds <= 3600.0:
        raise BadInput("--max-seconds", args.max_seconds, "1 to 3600")
    robot = load_robot(args.robot)
    os.environ.update(run_environment(None))  # the transport that takes large images, as the nodes have it
    from lrm_bringup.demonstrate.dialogue import demonstrate
    from lrm_bringup.demonstrate.ros.leader import led_arm
    from lrm_bringup.demonstrate.ros.stage import RosStage
    from lrm_bringup.graph import POLICY
    from lrm_bringup.parameters import shipped

    policy = shipped(POLICY)
    name = f"demonstrated-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with RosStage(robot, args.task, args.namespace, policy) as stage:
        stage.check()
        max_steps = round(args.max_seconds * policy.control_rate_hz)
        led = args.leader and robot.leader is not None
        with led_arm(robot, args.namespace, stage.node) if led else nullcontext():
            ended = demonstrate(stage, name, args.episodes, max_steps, _ask)
    print(", ".join(f"{count} {reason.value}" for reason, count in sorted(ended.items())) or "nothing demonstrated")
    return 0


def _ask(question: str) -> str:
    return input(f"{question}: ").strip().lower()
