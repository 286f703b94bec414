"""A whole run: what to train on, the heads one after the other, figures and card. Started again, it goes on."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers.utils import logging as hf_logging

from lrm_core.disk import only_one
from lrm_core.errors import BadInput
from lrm_core.resources import config_path, model_path
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import calibration
from lrm_reward_node.checkpoint import SHIPPED_MODEL
from lrm_reward_node.data.summary import Summary, read_summary
from lrm_reward_node.finetune import plan as planning
from lrm_reward_node.finetune import selection
from lrm_reward_node.finetune.adapter import Start
from lrm_reward_node.finetune.card import METRICS, write_card
from lrm_reward_node.finetune.config import TrainConfig, load
from lrm_reward_node.finetune.disk import room, write_json
from lrm_reward_node.finetune.few_shot import FewShot
from lrm_reward_node.finetune.head import Job, train_head
from lrm_reward_node.finetune.selection import Selection
from lrm_reward_node.finetune.tables import figure_table
from lrm_reward_node.vlm.files import digest_of, head_files, head_folder, resolve_folder, weights_digest

WORK, RUN = "training", "run.json"


@dataclass(frozen=True)
class Run:
    """Everything that is known before training.

    Attributes:
        samples: head -> what it is trained and measured on.
        few_shot: the choice of episodes; None for a whole training set.
    """

    args: argparse.Namespace
    config: TrainConfig
    start: Start
    summary: Summary
    samples: dict[RewardHead, Selection]
    few_shot: FewShot | None

    @property
    def out(self) -> Path:
        """Folder of the adapters."""
        return Path(self.args.out)


def train(args: argparse.Namespace) -> int:
    """Train what the options ask for; 0 when all of it is written.

    Raises:
        BadInput: an option, the configuration, the data or the base cannot be used, or the disk is full.
    """
    started = time.monotonic()
    hf_logging.set_verbosity_error()
    run, state = prepare(args), PartialState(cpu=_device(args) == "cpu")
    if state.is_main_process:
        planning.print_plan(_plans(run, state.num_processes), run.config)
    if args.dry_run:
        return 0
    with only_one(run.out, "--out", "training") if state.is_main_process else nullcontext():
        results = _trained(run, state)
        if state.is_main_process:
            with room(run.out):
                _finish(run, results)
            _report(run, results, time.monotonic() - started)
        state.wait_for_everyone()
    return 0


def _trained(run: Run, state: PartialState) -> dict[str, Any]:
    """Head -> figures, steps and hard pairs."""
    if state.is_main_process:
        _begin(run)
    state.wait_for_everyone()
    return {head.value: train_head(_job(run, head), _tell(state)) for head in run.config.heads}


def _device(args: argparse.Namespace) -> str:
    """``cpu`` where there is nothing else, too: only then do several processes on processors know of each other."""
    return args.device or ("cuda" if torch.cuda.is_available() else "cpu")


def prepare(args: argparse.Namespace) -> Run:
    """Read and check configuration, base and data; nothing is loaded or written."""
    config = load(args.config or config_path("train/few-shot.yaml" if args.episodes else "train/tiny.yaml"))
    start = _start(args.start, config)
    summary = read_summary(args.data)
    few_shot = None
    if args.episodes:
        few_shot, samples = selection.few_episodes(args.data, config, args.episodes, args.task, args.split)
    else:
        samples = selection.whole(args.data, summary, config)
    for head in config.heads:
        start.adapter(head)
    return Run(args, config, start, summary, samples, few_shot)


def _start(given: str, config: TrainConfig) -> Start:
    """Base and adapters: a checkpoint with a base is both."""
    adapters = resolve_folder("--from", given) if given else None
    whole = adapters is not None and (adapters / "config.json").is_file()
    path = config.base.path or (given if whole else str(model_path(SHIPPED_MODEL)))
    name = path if not Path(path).is_dir() else ""
    return Start(resolve_folder("base.path", path), adapters, name)


def _job(run: Run, head: RewardHead) -> Job:
    return Job(run.config, head, run.start, run.samples[head], run.out, run.out / WORK, _device(run.args))


def _plans(run: Run, devices: int) -> list[planning.HeadPlan]:
    return [planning.plan_head(run.config, head, run.start, chosen, devices) for head, chosen in run.samples.items()]


def _facts(run: Run) -> dict[str, Any]:
    """What a run that goes on has to share with the one before."""
    base, adapters = run.start.base, run.start.adapters
    folders = [head_folder(adapters, head) for head in run.config.heads] if adapters else []
    return {
        "config": json.loads(json.dumps(dataclasses.asdict(run.config))),
        "base": run.start.name or _local_name(base),
        "base_digest": weights_digest(base),
        "from": digest_of([file for folder in folders for file in head_files(folder)]) if folders else "",
        "manifest": run.summary.manifest,
        "splits_by": run.summary.splits_by,
        "index": run.summary.index,
        "episodes": [list(key) for key in run.few_shot.chosen] if run.few_shot else [],
        "tasks": list(run.few_shot.tasks) if run.few_shot else [],
    }


def _begin(run: Run) -> None:
    """Note what is run, or compare it with the run that is gone on with."""
    if run.args.overwrite:
        for name in (WORK, *(head.value for head in MODEL_HEADS)):
            shutil.rmtree(run.out / name, ignore_errors=True)
        (run.out / calibration.FILE).unlink(missing_ok=True)  # of the adapters that are gone
    facts, path = _facts(run), run.out / WORK / RUN
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in facts.items():
            if before.get(name) != value:
                fix = f"It was begun with another {name}: give another folder, or --overwrite to begin again."
                raise BadInput("--out", str(run.out), "a folder of the same run, or a new one", fix)
        return
    if any((run.out / head.value).exists() for head in MODEL_HEADS):
        raise BadInput("--out", str(run.out), "a new folder", "It holds adapters of something else.")
    with room(run.out.absolute().parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, facts)


def _finish(run: Run, results: dict[str, Any]) -> None:
    """Heads that were not trained are those that were gone on from; figures and card beside them."""
    for head in MODEL_HEADS:
        source = run.start.adapter(head) if head not in run.config.heads else None
        if source is not None and not (run.out / head.value).exists():
            shutil.copytree(source, run.out / head.value)
    facts = _facts(run) | {"command": _command()}
    fitted = run.out / calibration.FILE
    calibrated = {"calibration": calibration.checked(fitted)} if fitted.is_file() else {}
    write_json(run.out / METRICS, {"heads": results, "run": facts} | calibrated)
    write_card(run.out, facts, results, run.summary.samples)


def _local_name(base: Path) -> str:
    """Another machine has the shipped base too; it does not have the folders of this one."""
    shipped = model_path(SHIPPED_MODEL)
    return f"models/{SHIPPED_MODEL}" if base.resolve() == shipped.resolve() else ""


def _command() -> str:
    launched = Path(sys.argv[0]).name == "__main__.py"
    program = ["python", "-m", "lrm_reward_node.finetune"] if launched else ["lrm"]
    return shlex.join([*program, *sys.argv[1:]])


def _report(run: Run, results: dict[str, Any], seconds: float) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    header, rows = figure_table(results)
    table = Table(*header, title="held-out figures, 95 % intervals by episode", box=SIMPLE)
    for row in rows:
        table.add_row(*row)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 140)
    console.print(table if rows else "nothing was held out: there are no figures")
    console.print(f"{seconds:.0f} s", highlight=False)
    missing = [head.value for head in MODEL_HEADS if not (run.out / head.value).exists()]
    if missing:
        console.print(f"no adapter for {', '.join(missing)}: the reward node needs all three", highlight=False)
    print(run.out)


def _tell(state: PartialState) -> Any:
    from rich.console import Console

    console = Console(stderr=True)
    return lambda text: console.print(text, highlight=False) if state.is_main_process else None
