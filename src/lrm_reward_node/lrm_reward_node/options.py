"""The options that say how recorded pictures are scored, and the pipeline they make: one set for every command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_core.errors import BadInput
from lrm_reward_node.checkpoint import DEVICE, DTYPE, checkpoint_path, configure_checkpoint, configure_quantization

if TYPE_CHECKING:
    from lrm_reward_node.model import RewardModel
    from lrm_reward_node.pipeline import RewardPipeline


def configure_pipeline(parser: argparse.ArgumentParser) -> None:
    """Options of the model, its readout and what is put around it."""
    from lrm_reward_node.parsing import PARSINGS
    from lrm_reward_node.pipeline import FUSION_FORMS
    from lrm_reward_node.readout import READOUTS

    add = parser.add_argument
    add("--goal", type=Path, metavar="IMAGE", help="picture of the finished task, for progress to compare with")
    configure_checkpoint(parser)
    configure_quantization(parser)
    parser.set_defaults(device="", dtype="")  # empty: not given, and then the defaults that the help names
    add(
        "--readout", default="logits", choices=READOUTS, help="expected value over the legal answers, or generated text"
    )
    add(
        "--parsing",
        default="strict",
        choices=PARSINGS,
        help="rules for generated text; compat is lenient about framing",
    )
    add("--fusion", default="code", choices=FUSION_FORMS, help="fused = ((c+1)/2 + p + m)/3, or (c + p + m)/3")
    add(
        "--calibration",
        default="auto",
        metavar="FILE",
        help="written by lrm calibrate; default: the one beside the adapters; none: as the model states",
    )
    add(
        "--camera-check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="do not score a picture without detail, or of another scene than the first one (default: on)",
    )
    add("--swap", action="store_true", help="ask contrastive in both orders of its pictures and average")
    add("--server", action="append", metavar="URL", help="ask an OpenAI-compatible server; see docs/serving.md")


def pipeline_from(args: argparse.Namespace) -> RewardPipeline:
    """The pipeline that the options name; pictures are checked before the model is loaded.

    Raises:
        BadInput: an option, the goal picture or the checkpoint cannot be used.
    """
    from lrm_reward_node.calibration import calibrated
    from lrm_reward_node.camera_check import NO_LIMITS, CameraLimits
    from lrm_reward_node.pipeline import Fusion, RewardPipeline
    from lrm_reward_node.scoring import read_picture
    from lrm_reward_node.swap import in_both_orders

    goal = read_picture(args.goal) if args.goal else None
    model: RewardModel
    folder = ""
    given = [f"--{name}" for name in ("model", "adapters", "device", "dtype") if getattr(args, name)]
    if args.server and given:
        raise BadInput("--server", args.server[0], f"no {given[0]}: that is the server's own matter")
    if args.server:
        from lrm_reward_node.remote.model import connect_from_environment

        model = connect_from_environment(args.server, args.readout, args.parsing)
    else:
        from lrm_reward_node.vlm.qwen import load

        path = checkpoint_path(args.model)
        device, dtype, readout = args.device or DEVICE, args.dtype or DTYPE, (args.readout, args.parsing)
        model = load(path, args.adapters or None, device, dtype, *readout, quantization=args.quantization)
        folder = args.adapters or path
    model = in_both_orders(calibrated(model, args.calibration, folder), args.swap)
    limits = CameraLimits() if args.camera_check else NO_LIMITS
    return RewardPipeline(model, Fusion(args.fusion), goal=goal, limits=limits)
