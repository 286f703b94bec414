"""``lrm export lerobot``: bags as a LeRobotDataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_bringup.progress import bar
from lrm_core.errors import BadInput
from lrm_core.features import camera_of
from lrm_core.rewards import RewardHead
from lrm_core.robot import RobotContract, load_robot

if TYPE_CHECKING:
    from lrm_bringup.convert.export import Exported, ExportOptions

SHOWN = 20
"""Lines about gaps and faults on the terminal; all of them are in the dataset's metadata."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("bags", nargs="+", type=Path, metavar="BAG", help="bag (folder, .mcap, .db3) or folder of bags")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the new dataset; it appears when it is whole")
    configure_selection(parser)
    add("--images", action="store_true", help="cameras as PNG (exact) in place of H.264 video (small, lossy)")
    add("--overwrite", action="store_true", help="replace a dataset that is there")


def configure_selection(parser: argparse._ActionsContainer) -> None:
    """Options that say what of a bag becomes what of a dataset."""
    add = parser.add_argument
    add("--task", default="", help="task sentence; replaces the recorded one, needed where none is recorded")
    add("--robot", default="", metavar="NAME|FILE",
        help="robot of bags that another recorder wrote: its topics, its joints, the unit of its gripper")  # fmt: skip
    add("--camera", action="append", default=[], metavar="[NAME=]TOPIC",
        help="camera topic or name; again for several, the scored one first. Default: all, front first")  # fmt: skip
    add("--joints", default="", metavar="TOPIC", help="JointState topic; default: joint_states, or the only one")
    add("--commands", default="", metavar="TOPIC",
        help="JointTrajectory or, of a leader arm, JointState topic; default: command, or the only one")  # fmt: skip
    add("--fps", type=int, default=0, help="rows per second; default: the control rate, or that of the first camera")
    add("--tolerance-s", type=float, default=0.0,
        help="how far a message may be from its row, seconds; further is a gap. Default: half a period")  # fmt: skip
    add("--min-frames", type=int, default=2, help="leave out pieces between gaps that are shorter (default 2)")
    add("--log-time", action="store_true", help="take log times in place of header stamps")
    add("--rewards", default="", metavar="PREFIX",
        help="rewards of a bag that lrm replay --out wrote: replay/MODEL. Default: those of the live run")  # fmt: skip
    add("--reward-head", choices=[head.value for head in RewardHead], default="fused",
        help="whose score becomes next.reward (default fused)")  # fmt: skip
    add("--success-from", choices=("status", "audit"), default="status",
        help="who says what succeeded: the reward model, or the simulator's truth (default status)")  # fmt: skip
    add("--keep", choices=("all", "successful"), default="all", help="which episodes (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    result = export(args.bags, args.out, options_of(args))
    tell(result)
    known = sum(piece.success is not None for piece in result.pieces)
    successes = sum(bool(piece.success) for piece in result.pieces)
    print(f"{args.out}: {len(result.pieces)} episodes, {result.frames} frames, {successes} of {known} successful")
    return 2 if result.refused else 0


def options_of(args: argparse.Namespace) -> ExportOptions:
    """The options of :func:`configure_selection`, checked.

    Raises:
        BadInput: one of them makes no sense.
    """
    from lrm_bringup.convert.export import ExportOptions
    from lrm_bringup.convert.ros.topics import TopicNames
    from lrm_reward_node.prompts import check_task

    if not 0 <= args.fps <= 1000:
        raise BadInput("--fps", args.fps, "frames per second, 1 to 1000; 0: found")
    if not 0.0 <= args.tolerance_s <= 60.0:
        raise BadInput("--tolerance-s", args.tolerance_s, "seconds, 0 to 60; 0: half a period")
    if args.min_frames < 1:
        raise BadInput("--min-frames", args.min_frames, "at least 1")
    if args.task:
        check_task(args.task)
    robot = load_robot(args.robot) if args.robot else None
    cameras, joints = (_camera_options(robot), robot.state.topic) if robot else ((), "")
    names = TopicNames(tuple(args.camera) or cameras, args.joints or joints, args.commands, args.rewards)
    return ExportOptions(
        names, args.fps, args.tolerance_s, args.task, args.log_time, args.reward_head, args.success_from, args.keep,
        args.min_frames, not getattr(args, "images", False), getattr(args, "overwrite", False),
        robot.state_units if robot else None,
    )  # fmt: skip


def _camera_options(robot: RobotContract) -> tuple[str, ...]:
    features = robot.camera_features  # what a policy of this dataset takes, it gets from this robot
    return tuple(f"{camera_of(features[camera.name])}={camera.image_topic}" for camera in robot.cameras)


def export(bags: list[Path], out: Path, options: ExportOptions) -> Exported:
    """Export with a progress bar over all bags."""
    from lrm_bringup.convert.export import Exporter
    from lrm_bringup.replay.run import expand

    inputs = expand(bags)
    with bar("bags", len(inputs)) as progress:
        return Exporter(out, options, progress).run(inputs)


def tell(result: Exported) -> None:
    """Say what was refused, and what the dataset is without."""
    for name, why in result.refused.items():
        print(f"lrm: {name} is not exported: {why}", file=sys.stderr)
    for problem in result.problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if len(result.problems) > SHOWN:
        print(f"... and {len(result.problems) - SHOWN} more; all are in the dataset's metadata", file=sys.stderr)
