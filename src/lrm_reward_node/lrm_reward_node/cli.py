"""Command line of the reward model: ``lrm score``, ``lrm prompt`` and ``lrm train reward-model``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lrm_core.errors import LrmError
from lrm_reward_node.options import configure_pipeline, pipeline_from

TRI = "tri"
"""All three heads, as the paper calls it."""


def configure_score(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm score``."""
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="picture files, in the order of time")
    add("--task", required=True, help='task sentence, for example "put the red cube in the blue bowl"')
    add("--initial", type=Path, metavar="IMAGE", help="picture of the start of the episode: makes progress reliable")
    configure_pipeline(parser)
    add("--json", action="store_true", help="print JSON instead of a table")


def run_score(args: argparse.Namespace) -> int:
    """Score picture files; pictures and task are checked before the model is loaded."""
    from lrm_reward_node import prompts, scoring

    prompts.check_task(args.task)
    for path in [*args.images, *([args.initial] if args.initial else [])]:
        scoring.read_picture(path)
    pipeline = pipeline_from(args)
    scores = scoring.score_pictures(pipeline, args.task, args.images, args.initial)
    if args.json:
        print(scoring.as_json(scores, args.task, args.initial, args.goal, pipeline.model.fingerprint))
    else:
        scoring.print_table(scores, args.task)
    return 0


def configure_prompt(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm prompt``."""
    from lrm_core.rewards import MODEL_HEADS

    add = parser.add_argument
    add("mode", choices=(*(head.value for head in MODEL_HEADS), TRI), help=f"{TRI}: the three, one after the other")
    add("--task", required=True, help='task sentence, for example "put the red cube in the blue bowl"')
    add("--initial", action="store_true", help="with a picture of the start of the episode (progress alone has a line)")
    add("--goal", action="store_true", help="with a picture of the finished task (progress alone has a line)")
    add(
        "--json",
        action="store_true",
        help="print JSON: mode, text and images; tri: one such object per head in prompts",
    )


def run_prompt(args: argparse.Namespace) -> int:
    """Print the published prompt with ``<image>`` where pictures stand, and the order of the pictures."""
    from lrm_core.rewards import MODEL_HEADS, RewardHead
    from lrm_reward_node import prompts

    heads = MODEL_HEADS if args.mode == TRI else (RewardHead(args.mode),)
    asked = {head.value: prompts.build(head, args.task, initial=args.initial, goal=args.goal) for head in heads}
    order = {head.value: prompts.image_order(head, initial=args.initial, goal=args.goal) for head in heads}
    if args.json:
        found = {mode: {"mode": mode, "text": asked[mode].text, "images": list(order[mode])} for mode in asked}
        print(json.dumps({"mode": TRI, "prompts": found} if args.mode == TRI else found[args.mode], indent=2))
        return 0
    blocks = [f"{prompt.text}\n\nimages: {', '.join(order[mode])}" for mode, prompt in asked.items()]
    if args.mode == TRI:
        blocks = [f"{mode}:\n{block}" for mode, block in zip(asked, blocks, strict=True)]
    print("\n\n".join(blocks))
    return 0


def configure_train(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm train reward-model``."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("models/lrm-tiny"), help="folder of the finished checkpoint")
    add("--work", type=Path, default=Path("out/train-reward"), help="folder of logs and checkpoints on the way")
    add("--preset", default="cpu", help="gpu, cpu (about an hour on two cores) or smoke (seconds)")
    add(
        "--from",
        dest="start",
        type=Path,
        metavar="FOLDER",
        help="go on from this checkpoint, with its tokenizer and adapters: half the time, smaller steps",
    )
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
    add("--bf16", action="store_true", help="16 bit matrix products on a processor that has them; a GPU always does so")
    add("--seed", type=int, default=0, help="seed of weights, batches and augmentation")
    add("--scale", type=float, default=1.0, help="factor on the preset's episodes and steps")
    add("--threads", type=int, default=0, help="of the processor; 0: torch decides. Another number, other roundings")
    add("--minutes", type=float, default=0.0, help="time budget of all training stages together; 0: as the preset says")
    add("--resume", action="store_true", help="go on where the run in --work stopped")


def run_train(args: argparse.Namespace) -> int:
    """Train; see :mod:`lrm_reward_node.training.command`."""
    from lrm_reward_node.training.command import Options, train

    names = vars(args).keys() & Options.__dataclass_fields__.keys()
    return train(Options(**{name: getattr(args, name) for name in names}))


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m lrm_reward_node.training``, for machines without the ``lrm`` program."""
    parser = argparse.ArgumentParser(prog="python -m lrm_reward_node.training", description=run_train.__doc__)
    configure_train(parser)
    try:
        return run_train(parser.parse_args(argv))
    except LrmError as error:
        print(f"lrm: {error}", file=sys.stderr)
        return 2
