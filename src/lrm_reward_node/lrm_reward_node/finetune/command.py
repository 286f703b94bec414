"""``lrm train reward``: LoRA adapters for the reward heads, from a training set of ``lrm data build``."""

from __future__ import annotations

import argparse
from pathlib import Path

from lrm_core.errors import BadInput

DESCRIPTION = """\
Fine-tune the reward heads: one LoRA adapter per head on a frozen base, on the exact prompts, loss on the answer alone.
What is written loads in this project, in plain peft and, merged, in servers. A run that was stopped, killed or out of
disk goes on when the same command is started again.

  1. lrm data build config/data/sim.yaml --out out/data          a training set
  2. lrm train reward --data out/data --out out/mine --dry-run    what would be trained
  3. lrm train reward --data out/data --out out/mine              train; figures, model card and adapters in out/mine
  4. lrm model check --adapters out/mine                          proof that it loads
  5. lrm up reward --params …                                     parameter adapters: out/mine

A new task from five episodes of it, in the split test, with old tasks in train (rehearsed) and validation. The new
task's other episodes and the old tasks' validation are measured before and after:
  lrm data build config/data/few-shot.yaml --out out/few-shot
  lrm train reward --from models/lrm-tiny --episodes 5 --data out/few-shot --out out/new

Several GPUs or machines:
  accelerate launch --config_file config/train/accelerate/fsdp.yaml -m lrm_reward_node.finetune \\
      --config config/train/qwen3-vl-8b.yaml --data out/data --out out/mine"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``lrm train reward``."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="training set of lrm data build")
    add("--out", type=Path, required=True, metavar="FOLDER", help="gets a folder per head, metrics.json and README.md")
    config = "YAML with what is trained and how; default: config/train/tiny.yaml, with --episodes few-shot.yaml"
    add("--config", type=Path, metavar="FILE", help=config)
    start = "go on from these adapters: a checkpoint with its base, or a folder with adapters alone"
    add("--from", dest="start", default="", metavar="CHECKPOINT", help=start)
    add(
        "--episodes",
        type=int,
        default=0,
        metavar="N",
        help="few-shot: train on N episodes of --split, measure on the rest",
    )
    add("--task", default="", help="few-shot: the new task's sentence; default: all tasks of the split")
    add("--split", default="test", choices=("train", "validation", "test"), help="few-shot: where it is; default: test")
    add("--device", default="", choices=("", "cpu", "cuda"), help="default: a GPU where there is one")
    add("--dry-run", action="store_true", help="print what would be trained, and stop")
    add("--overwrite", action="store_true", help="throw away what is in --out and begin again")


def run(args: argparse.Namespace) -> int:
    """Train; see :mod:`lrm_reward_node.finetune.run`."""
    if args.episodes < 0 or (args.task and not args.episodes):
        raise BadInput("--episodes", args.episodes, "a number above 0 with --task, or none of both")
    if args.episodes and not args.start:
        raise BadInput("--from", "", "the checkpoint that is adapted", "--episodes goes on from one.")
    from lrm_reward_node.finetune.run import train

    return train(args)
