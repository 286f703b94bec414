"""The second stage of contrastive: direct preference optimisation (Rafailov et al. 2023) by TRL on hard pairs.

The reference is the adapter as the first stage left it: TRL keeps a frozen copy beside the one that is trained.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PrinterCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference, DPOTrainer

from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.disk import room, write_json
from lrm_reward_node.finetune.figures import hard_pairs
from lrm_reward_node.finetune.progress import ProgressBar
from lrm_reward_node.finetune.questions import Items, answer_number, sample_row
from lrm_reward_node.finetune.sampler import WeightedDraws
from lrm_reward_node.finetune.trainer import RewardTrainer, SealedCheckpoints, common_arguments
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.vlm.encoding import rendered

if TYPE_CHECKING:
    from lrm_reward_node.finetune.head import Job

REFERENCE = "ref"
"""TRL's name for the frozen copy."""


class _Sealed(SealedCheckpoints, DPOTrainer):
    """TRL's trainer with checkpoints that are whole or not there."""


def prefer(job: Job, first: RewardTrainer, processor: Any) -> dict[str, Any]:
    """Train the model of ``first`` on; returns how many pairs were asked, how many were hard, and the steps.

    Without a hard pair nothing is trained.
    """
    asked, hard = _found_pairs(job, first)
    result: dict[str, Any] = {"asked": asked, "hard": len(hard), "steps": 0}
    if not len(hard):
        return result
    trainer = _Sealed(
        model=first.model,
        args=_arguments(job),
        train_dataset=_pairs(job.samples.training, hard, processor),
        data_collator=DataCollatorForVisionPreference(processor=processor),
        processing_class=processor,
        callbacks=[ProgressBar("preference")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.fit()
    first.model.delete_adapter(REFERENCE)
    return result | {"steps": trainer.state.global_step}


def _found_pairs(job: Job, first: RewardTrainer) -> tuple[int, np.ndarray]:
    """How many pairs were asked, and which of the training samples are hard; kept, so that a restart has the same."""
    kept = job.folder / "hard_pairs.json"
    if kept.is_file():
        found = json.loads(kept.read_text())
        return int(found["asked"]), np.array(found["hard"], np.int64)
    settings = job.config.preference
    draws = WeightedDraws(job.samples.training.weights, settings.candidates, job.config.training.seed + 1)
    candidates = np.unique(list(draws))
    items = Items(job.samples.training.samples, job.samples.training.index[candidates], scored=True)
    likelihoods, labels = first.score(items)
    hard = candidates[hard_pairs(likelihoods, labels[:, 0], settings.max_probability)[: settings.pairs]]
    if first.args.should_save:
        with room(job.work):
            write_json(kept, {"asked": len(candidates), "hard": hard.tolist()})
    first.accelerator.wait_for_everyone()
    return len(candidates), hard


def _arguments(job: Job) -> DPOConfig:
    settings = job.config.preference
    folder = job.folder.with_name(f"{job.head.value}-preference")
    return DPOConfig(
        **common_arguments(job.config, folder, job.device),
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        beta=settings.beta,
        save_steps=job.config.evaluation.save_every,
        max_length=None,
    )


def _pairs(training: Items, hard: np.ndarray, processor: Any) -> Any:
    """A Hugging Face dataset whose rows are made when they are read: prompt as rendered, pictures, both answers."""
    from datasets import Dataset

    def rows(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = [_pair(training[at].sample, processor) for at in batch["at"]]
        return {name: [row[name] for row in made] for name in made[0]}

    return Dataset.from_dict({"at": hard.tolist()}).with_transform(rows)


def _pair(sample: Any, processor: Any) -> dict[str, Any]:
    row, end = sample_row(sample), processor.tokenizer.eos_token
    right = answer_number(sample)
    texts = ANSWERS[RewardHead.CONTRASTIVE].texts
    return {
        "prompt": rendered(row.prompt, processor),
        "images": list(row.images),
        "chosen": texts[right] + end,
        "rejected": texts[1 - right] + end,
    }
