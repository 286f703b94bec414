"""Command line of the reward model: ``lrm score`` and ``lrm train reward-model``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

SHIPPED_MODEL = "lrm-tiny"
"""Folder in ``models/``."""


def configure_score(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm score``."""
    from lrm_reward_node.pipeline import FUSION_FORMS
    from lrm_reward_node.readout import READOUTS

    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="picture files, in the order of time")
    add("--task", required=True, help='task sentence, for example "put the red cube in the blue bowl"')
    add("--initial", type=Path, metavar="IMAGE", help="picture of the start of the episode: makes progress reliable")
    add("--model", default="", help="folder or hub name of a checkpoint; default: the one that is shipped")
    add("--adapters", default="", help="folder or hub name of the adapters; default: inside the checkpoint")
    add(
        "--readout", default="logits", choices=READOUTS, help="expected value over the legal answers, or generated text"
    )
    add("--fusion", default="code", choices=FUSION_FORMS, help="fused = ((c+1)/2 + p + m)/3, or (c + p + m)/3")
    add("--device", default="cpu", help="torch device")
    add("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="number format of the model")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--server", action="append", metavar="URL", help="ask an OpenAI-compatible server; see docs/serving.md")


def run_score(args: argparse.Namespace) -> int:
    """Score picture files; pictures and task are checked before the model is loaded."""
    from lrm_core.resources import model_path
    from lrm_reward_node import scoring
    from lrm_reward_node.model import RewardModel
    from lrm_reward_node.pipeline import Fusion, RewardPipeline

    scoring.check_task(args.task)
    for path in [*args.images, *([args.initial] if args.initial else [])]:
        scoring.read_picture(path)
    model: RewardModel
    if args.server:
        from lrm_reward_node.remote.model import connect_from_environment

        model = connect_from_environment(args.server, args.readout)
    else:
        from lrm_reward_node.vlm.qwen import load

        path = args.model or str(model_path(SHIPPED_MODEL))
        model = load(path, args.adapters or None, args.device, args.dtype, args.readout)
    pipeline = RewardPipeline(model, Fusion(args.fusion))
    scores = scoring.score_pictures(pipeline, args.task, args.images, args.initial)
    if args.json:
        print(scoring.as_json(scores, args.task, args.initial, model.fingerprint))
    else:
        scoring.print_table(scores, args.task)
    return 0


def configure_train(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm train reward-model``."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("models/lrm-tiny"), help="folder of the finished checkpoint")
    add("--work", type=Path, default=Path("out/train-reward"), help="folder of logs and checkpoints on the way")
    add("--preset", default="cpu", help="gpu, cpu (about 40 minutes on two cores) or smoke (seconds)")
    add(
        "--source",
        default="lrm_sim.reward_data:reward_episodes",
        metavar="MODULE:FUNCTION",
        help="yields the episodes: function(split, episodes, workers, ...)",
    )
    add("--source-args", default="{}", metavar="JSON", help="further arguments of it, for example '{\"every\": 5}'")
    add("--episodes-npz", type=Path, metavar="FOLDER", help="read episodes from FOLDER/<split>/*.npz instead")
    add("--keep-episodes", type=Path, metavar="FOLDER", help="also write the episodes to FOLDER/<split>/*.npz")
    add("--episodes", type=int, default=0, help="training episodes; 0: as the preset says")
    add(
        "--evaluation-episodes",
        type=int,
        default=-1,
        help="episodes per held-out split; 0: none, -1: as the preset says",
    )
    add("--workers", type=int, default=1, help="processes that collect episodes")
    add("--device", default="", help="torch device; empty: a GPU when there is one")
    add("--seed", type=int, default=0, help="seed of weights, batches and augmentation")
    add("--minutes", type=float, default=0.0, help="time budget of all training stages together; 0: as the preset says")
    add("--resume", action="store_true", help="go on where the run in --work stopped")


def run_train(args: argparse.Namespace) -> int:
    """Train; see :mod:`lrm_reward_node.training.command`."""
    from lrm_reward_node.training.command import Options, train

    names = vars(args).keys() & Options.__dataclass_fields__.keys()
    return train(Options(**{name: getattr(args, name) for name in names}))


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m lrm_reward_node.training``, for machines without the ``lrm`` program."""
    from lrm_core.errors import LrmError

    parser = argparse.ArgumentParser(prog="python -m lrm_reward_node.training", description=run_train.__doc__)
    configure_train(parser)
    try:
        return run_train(parser.parse_args(argv))
    except LrmError as error:
        print(f"lrm: {error}", file=sys.stderr)
        return 2
