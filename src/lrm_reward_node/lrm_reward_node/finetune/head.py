"""One head from start to finish: train, prefer, measure, write. Every part is skipped when it is done already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.adapter import ADAPTER, Start, load_trainable
from lrm_reward_node.finetune.config import TrainConfig
from lrm_reward_node.finetune.disk import room, write_json
from lrm_reward_node.finetune.measured import Measured, measured
from lrm_reward_node.finetune.selection import Selection
from lrm_reward_node.finetune.trainer import RewardTrainer, training_arguments
from lrm_reward_node.vlm.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, copy_processor
from lrm_reward_node.vlm.proof import check_loaded

DONE = "done.json"


@dataclass(frozen=True)
class Job:
    """What one head is trained on, and where.

    Attributes:
        samples: what is trained and measured on.
        out: folder that gets ``<head>/``.
        work: folder of checkpoints and logs on the way.
        device: cpu or cuda.
    """

    config: TrainConfig
    head: RewardHead
    start: Start
    samples: Selection
    out: Path
    work: Path
    device: str

    @property
    def folder(self) -> Path:
        """Checkpoints and logs of this head."""
        return self.work / self.head.value


def train_head(job: Job, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Train one adapter and write its folder; returns its figures, steps and hard pairs.

    Raises:
        BadInput: the disk is full, or something does not fit.
    """
    done = job.folder / DONE
    if done.is_file() and (job.out / job.head.value / ADAPTER_WEIGHTS).is_file():
        tell(f"{job.head.value}: done before")
        return dict(json.loads(done.read_text()))
    with room(job.work):
        job.folder.mkdir(parents=True, exist_ok=True)
    model = load_trainable(job.config, job.head, job.start)
    processor = job.start.processor(job.head)
    trainer = _trainer(job, model, processor)
    measured = _Stages(trainer, job.samples)
    if job.start.adapters:
        measured.add("before")
    trainer.fit()
    measured.add("after")
    result: dict[str, Any] = {"trained_on": job.samples.new, "steps": trainer.state.global_step}
    result["best_step"] = trainer.state.best_global_step
    if job.head is RewardHead.CONTRASTIVE and job.config.preference.pairs:
        from lrm_reward_node.finetune.preference import prefer  # TRL takes seconds to import

        result["preference"] = prefer(job, trainer, processor)
        measured.add("after_preference")
    result |= measured.told()
    _write(job, trainer, result)
    return result


def _trainer(job: Job, model: Any, processor: Any) -> RewardTrainer:
    evaluates = bool(job.samples.held_out) and job.config.evaluation.every > 0
    arguments = training_arguments(job.config, job.head, job.folder, job.device, evaluates)
    held_out = job.samples.held_out if evaluates else None
    patience = job.config.evaluation.patience
    return RewardTrainer(model, job.head, processor, job.samples.training, held_out, arguments, patience)


class _Stages:
    """Figures on what is held out and on the old tasks, stage after stage."""

    def __init__(self, trainer: RewardTrainer, samples: Selection) -> None:
        self.trainer = trainer
        self.items = {kind: items for kind, items in (("new", samples.held_out), ("old", samples.old)) if items}
        self.asked = {kind: items.questions() for kind, items in self.items.items()}
        self.found: dict[str, dict[str, Measured]] = {kind: {} for kind in self.items}

    def add(self, stage: str) -> None:
        """Measure the model as it is now."""
        for kind, items in self.items.items():
            likelihoods, labels = self.trainer.score(items)
            asked = self.asked[kind]
            apart = {"task": [one.task for one in asked], "source": [one.origin["source"] for one in asked]}
            episodes = [one.episode for one in asked]
            self.found[kind][stage] = measured(self.trainer.head, likelihoods, labels, episodes, apart)

    def told(self) -> dict[str, Any]:
        """Stage -> figures, and what changed from first to last; the same of the old tasks under ``old``."""
        told = {kind: {name: one.told() for name, one in stages.items()} for kind, stages in self.found.items()}
        for kind, stages in self.found.items():
            if "before" in stages:
                told[kind]["change"] = list(stages.values())[-1].since(stages["before"]).told()
        old = {"old": told["old"]} if "old" in told else {}
        return told.get("new", {}) | old


def _write(job: Job, trainer: RewardTrainer, result: dict[str, Any]) -> None:
    """Adapter and processor, whole or not at all; then checkpoints go."""
    partial, final = job.folder / "finished", job.out / job.head.value
    with room(job.work):
        trainer.save_model(str(partial))
        if trainer.args.should_save:
            for path in partial.iterdir():  # PEFT's own model card and pickled arguments
                if path.name not in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
                    path.unlink()
            _sort_lists(partial / ADAPTER_CONFIG)
            copy_processor(job.start.processor_folder(job.head), partial)
            if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):  # where a process has all of the weights
                check_loaded(trainer.model, job.head, partial, load_file(partial / ADAPTER_WEIGHTS), ADAPTER)
            shutil.rmtree(final, ignore_errors=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(final)
            write_json(job.folder / DONE, result)
            for path in job.work.glob(f"{job.head.value}*/checkpoint-*"):
                shutil.rmtree(path)
    trainer.accelerator.wait_for_everyone()


def _sort_lists(path: Path) -> None:
    """PEFT writes sets in an order that differs from process to process; the same run gives the same file."""
    values = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {key: sorted(value) if isinstance(value, list) else value for key, value in values.items()})
