"""Commands of this package: ``lrm train policy``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrm_core.errors import BadInput

if TYPE_CHECKING:
    import torch

    from lrm_policy_node.lerobot.demonstrations import Demonstrations
    from lrm_policy_node.lerobot.vision import KeypointVisionStep


TRAINERS = ("lrm", "lerobot")


def configure_train(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add the options of ``lrm train policy``; returns the group of those that say where demonstrations come from."""
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--dataset", type=Path, help="LeRobotDataset folder (lrm record-demos writes one)")
    data.add_argument("--source", metavar="MODULE:FUNCTION", help="function that gives lrm_core.episodes.EpisodeRecord")
    parser.add_argument(
        "--source-args", type=json.loads, default={}, metavar="JSON", help="keyword arguments of --source"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the policy; an interrupted training resumes in it"
    )
    parser.add_argument(
        "--scenes",
        metavar="MODULE:FUNCTION",
        help="episodes with known positions: they teach a small keypoint encoder for the front camera where things are,"
        " and ACT sees through it (minutes on a CPU); default: ACT's ResNet-18 on every camera (wants a GPU)",
    )
    parser.add_argument(
        "--scenes-args", type=json.loads, default={}, metavar="JSON", help="keyword arguments of --scenes"
    )
    parser.add_argument("--scenes-seconds", type=float, default=240.0, help="time to teach the encoder")
    parser.add_argument("--steps", type=int, default=12_000, help="gradient steps")
    parser.add_argument("--batch", type=int, default=128, help="frames per step")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after this time; what there is is saved"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="of AdamW; 1e-3 suits --scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--trainer",
        choices=TRAINERS,
        default="lrm",
        help="lrm: ACT on frames in memory; lerobot: lerobot-train on the dataset, ACT unless -- --policy.type=... says"
        " otherwise (default lrm)",
    )
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="handed on to lerobot-train")
    return data


def run_train(args: argparse.Namespace) -> int:
    """Run ``lrm train policy``; returns the exit code."""
    import torch

    from lrm_policy_node.lerobot.train import TrainSettings, train

    name = args.device if args.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if args.steps < 1 or args.batch < 1:
        raise BadInput("--steps, --batch", (args.steps, args.batch), "at least 1")
    if args.trainer == "lerobot":
        return _run_lerobot(args, name)
    if args.arguments:
        raise BadInput("arguments", " ".join(args.arguments), "none without --trainer lerobot")
    settings = TrainSettings(
        steps=args.steps,
        batch_size=args.batch,
        learning_rate=args.learning_rate,
        seconds=args.seconds,
        seed=args.seed,
    )
    data = _demonstrations(args)
    print(f"{data.episodes} demonstrations, {len(data.states)} frames, device {name}", flush=True)
    vision = _vision(args, torch.device(name)) if args.scenes else None
    loss = train(data, args.out, settings, torch.device(name), vision=vision, about=_about(args))
    print(f"{args.out}: L1 of normalised actions {loss:.4f}")
    return 0


def _run_lerobot(args: argparse.Namespace, device: str) -> int:
    """Train with ``lerobot-train``; 1 when the policy node cannot run what came out."""
    from lrm_policy_node.lerobot.lerobot_train import LerobotTraining, misfit

    if args.dataset is None or args.scenes:
        raise BadInput("--trainer", "lerobot", "with --dataset or --from-bags, and without --scenes")
    args.out.mkdir(parents=True, exist_ok=True)
    arguments = tuple(args.arguments)
    LerobotTraining(args.dataset, args.out, args.steps, args.batch, args.seed, device, arguments).run()
    why = misfit(args.out)
    print(f"{args.out}: trained by lerobot-train{f'; not for the policy node: {why}' if why else ''}")
    return int(bool(why))


def _vision(args: argparse.Namespace, device: torch.device) -> KeypointVisionStep:
    from lrm_core.sources import source_function
    from lrm_policy_node.lerobot.train_vision import VisionSettings, scenes, train_vision

    data = scenes(source_function(args.scenes, "--scenes")(**args.scenes_args))
    print(f"{len(data.frames)} frames teach the encoder where {', '.join(data.things)} are", flush=True)
    vision, errors_m = train_vision(data, VisionSettings(seed=args.seed, seconds=args.scenes_seconds), device)
    print("  ".join(f"{thing}: {100 * error:.2f} cm" for thing, error in errors_m.items()), flush=True)
    return vision


def _about(args: argparse.Namespace) -> dict[str, object]:
    if args.dataset is not None:
        return {"dataset": str(args.dataset)}
    return {"source": args.source, "source_args": args.source_args}


def _demonstrations(args: argparse.Namespace) -> Demonstrations:
    from lrm_policy_node.lerobot import demonstrations

    if args.dataset is not None:
        return demonstrations.from_dataset(args.dataset)
    return demonstrations.from_source(args.source, args.source_args)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m lrm_policy_node.lerobot.train``: the same command without the ``lrm`` program."""
    parser = argparse.ArgumentParser(description="Train an ACT policy on demonstrations.")
    configure_train(parser)
    return run_train(parser.parse_args(argv))
