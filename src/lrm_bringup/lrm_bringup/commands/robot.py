"""``lrm robot check``: a live robot against its contract."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lrm_bringup.environment import run_environment
from lrm_bringup.robot_check.tool import Tool, place
from lrm_core.errors import BadInput
from lrm_core.robot import RobotContract, load_robot, robot_names

if TYPE_CHECKING:
    from lrm_bringup.robot_check.judging import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("robot", nargs="?", default="sim_arm", metavar="ROBOT",
        help=f"one of {', '.join(robot_names())}, or a YAML file (default: %(default)s)")  # fmt: skip
    add("--seconds", type=float, default=5.0, help="how long to listen (default: %(default)s)")
    add("--namespace", default="", help="namespace of the robot")
    add("--sim-time", action="store_true", help="stamps are of the simulated clock (/clock)")
    add("--file", action="store_true", help="check the file alone, without a robot")
    add("--json", action="store_true", help="print the findings for programs")


def run(args: argparse.Namespace) -> int:
    """Listen, judge, print; 0: all as the contract says, 1: something is not."""
    if not 0.5 <= args.seconds <= 600.0:
        raise BadInput("--seconds", args.seconds, "0.5 to 600")
    robot = load_robot(args.robot)
    tool: Tool | None = None
    if robot.tool.model:
        from lrm_policy_node.robot_model import load_kinematics  # MuJoCo, only for a robot with a model

        tool = load_kinematics(robot).tcp
    if args.file:
        print(f"{robot.path}: {len(robot.joints)} joints, {len(robot.cameras)} cameras, {robot.command.kind}: in order")
        if tool is not None:
            print(f"tool at home: {place(robot, tool, robot.home)}")
        print("a policy gets: " + ", ".join(f"{name} as {as_}" for name, as_ in robot.camera_features.items()))
        print(f"safety stage: {_reaction(robot)}")
        return 0
    findings = _findings(robot, args, tool)
    ok = all(finding.ok for finding in findings)
    if args.json:
        listed = [asdict(one) for one in findings]
        print(json.dumps({"robot": robot.name, "ok": ok, "findings": listed, "safety": _reaction(robot)}, indent=2))
    else:
        _show(robot, findings)
    return 0 if ok else 1


def _reaction(robot: RobotContract) -> str:
    """How soon the safety stage stops this robot with its parameters as shipped."""
    from lrm_policy_node.safety.params import SafetyParams
    from lrm_policy_node.safety.timeouts import reaction_text

    return reaction_text(SafetyParams(), robot)


def _findings(robot: RobotContract, args: argparse.Namespace, tool: Tool | None) -> Sequence[Finding]:
    os.environ.update(run_environment(None))  # the transport that takes large images, as the nodes have it
    from lrm_bringup.progress import bar
    from lrm_bringup.robot_check.judging import judge
    from lrm_bringup.robot_check.ros.listening import RobotListener

    listener = RobotListener(robot, args.namespace, sim_time=args.sim_time)
    try:
        with bar(f"listening to {robot.name}", round(10 * args.seconds)) as progress:
            seen = listener.listen(args.seconds, lambda passed_s: progress(round(10 * passed_s)))
        return judge(robot, seen, tool)
    finally:
        listener.close()


def _show(robot: RobotContract, findings: Sequence[Finding]) -> None:
    width = max(len(finding.line) for finding in findings)
    for finding in findings:
        print(f"{'ok   ' if finding.ok else 'FAULT'}  {finding.line:{width}}  {finding.found}")
        if not finding.ok:
            print(f"{'':{width + 7}}  → {finding.fix}")
    faults = sum(not finding.ok for finding in findings)
    print(f"safety stage: {_reaction(robot)}")
    print(f"{robot.name}: " + (f"{faults} of {len(findings)} lines at fault" if faults else "as its contract says"))
