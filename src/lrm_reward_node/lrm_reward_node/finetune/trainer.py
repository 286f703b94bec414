"""transformers' ``Trainer`` for one head: weighted draws, held-out figures of the real readout, sealed checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EarlyStoppingCallback, EvalPrediction, PrinterCallback, Trainer, TrainingArguments

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node.finetune.config import TrainConfig
from lrm_reward_node.finetune.disk import newest_checkpoint, room, seal
from lrm_reward_node.finetune.figures import LOWER_IS_BETTER, MAIN, figures
from lrm_reward_node.finetune.progress import ProgressBar
from lrm_reward_node.finetune.questions import Collator, Items
from lrm_reward_node.finetune.sampler import WeightedDraws


class SealedCheckpoints:
    """Mixed into a ``Trainer``: its checkpoints are sealed when they are whole, and it goes on from the newest one."""

    args: Any
    accelerator: Any
    state: Any

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            seal(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

    def training_step(self, *batch: Any, **more: Any) -> torch.Tensor:
        """As transformers does it, which logs the mean of the finite losses and trains on whatever they are.

        Raises:
            BadInput: the loss is not finite: nothing good can come of what follows.
        """
        loss: torch.Tensor = super().training_step(*batch, **more)  # type: ignore[misc]
        if not torch.isfinite(loss):
            fix = "Lower training.learning_rate, or train without bf16 or with another base.dtype, into a new --out."
            raise BadInput(f"loss after {self.state.global_step} steps", float(loss), "a finite number", fix)
        return loss

    def fit(self) -> None:
        """Train to the end, from the newest whole checkpoint on.

        Raises:
            BadInput: the disk is full, or the loss is not finite.
        """
        folder = Path(self.args.output_dir)
        with room(folder):
            if self.args.should_save:
                newest_checkpoint(folder)  # what is not whole is gone before anybody looks
            self.accelerator.wait_for_everyone()
            newest = newest_checkpoint(folder)
            self.train(resume_from_checkpoint=str(newest) if newest else None)  # type: ignore[attr-defined]


class RewardTrainer(SealedCheckpoints, Trainer):
    """Trains the adapter ``default`` of ``model`` for ``head``.

    Args:
        model: PEFT model.
        head: which prompt.
        processor: the one that the adapter is read with.
        training, held_out: samples of the head; None evaluates nothing.
        arguments: see :func:`training_arguments`.
        patience: evaluations without a better one before training ends; 0: never.
    """

    def __init__(
        self,
        model: Any,
        head: RewardHead,
        processor: Any,
        training: Items | None,
        held_out: Items | None,
        arguments: TrainingArguments,
        patience: int = 0,
    ) -> None:
        self.head, self.collator = head, Collator(head, processor)
        super().__init__(
            model=model,
            args=arguments,
            data_collator=self.collator,
            train_dataset=training,
            eval_dataset=held_out,
            compute_metrics=self._figures,
            callbacks=[ProgressBar(head.value), *([EarlyStoppingCallback(patience)] if held_out and patience else [])],
        )
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> WeightedDraws:
        items = train_dataset or self.train_dataset
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return WeightedDraws(items.weights, self.args.max_steps * rows, self.args.data_seed)

    @torch.no_grad()
    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss, (B, A) log-likelihoods of the legal answers and (B, 2) number of the right one and target."""
        inputs = self._prepare_inputs(inputs)
        labels = inputs.pop("labels")
        with self.compute_loss_context_manager():
            likelihoods = self.collator.answers.likelihoods(model(**inputs, use_cache=False).logits)
        loss = torch.nn.functional.cross_entropy(likelihoods, labels[:, 0].long())
        return loss, likelihoods, labels

    def _figures(self, prediction: EvalPrediction) -> dict[str, float]:
        labels = np.asarray(prediction.label_ids)
        return figures(self.head, np.asarray(prediction.predictions), labels[:, 0], labels[:, 1])

    def score(self, items: Items) -> tuple[np.ndarray, np.ndarray]:
        """(N, A) log-likelihoods of the legal answers and (N, 2) number of the right one and target."""
        output = self.predict(items)
        if self.model_wrapped is self.model:
            self._forget_preparation()
        return np.asarray(output.predictions), np.asarray(output.label_ids)

    def _forget_preparation(self) -> None:
        """Accelerate takes a model that was prepared to be measured for one that is prepared to be trained.

        Several processes would then never share their gradients, and the first one's adapter would be written.
        """
        self.accelerator.free_memory()
        self.model._is_accelerate_prepared = False


def training_arguments(config: TrainConfig, head: RewardHead, folder: Path, device: str, evaluates: bool) -> Any:
    """Arguments of the first stage: steps, cosine schedule, where to save and what is better."""
    chosen = "nats" if config.evaluation.select_by == "nats" else MAIN[head]
    return TrainingArguments(
        **common_arguments(config, folder, device),
        max_steps=config.training.steps,
        learning_rate=config.training.learning_rate,
        warmup_steps=round(config.training.warmup_ratio * config.training.steps),
        eval_strategy="steps" if evaluates else "no",
        eval_steps=config.evaluation.every if evaluates else None,
        save_steps=config.evaluation.every if evaluates else config.evaluation.save_every,
        load_best_model_at_end=evaluates,
        metric_for_best_model=chosen if evaluates else None,
        greater_is_better=chosen not in LOWER_IS_BETTER if evaluates else None,
    )


def common_arguments(config: TrainConfig, folder: Path, device: str) -> dict[str, Any]:
    """What both stages share."""
    training = config.training
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation,
        "lr_scheduler_type": "cosine",
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "bf16": training.bf16,
        "gradient_checkpointing": training.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if training.gradient_checkpointing else None,
        "seed": training.seed,
        "data_seed": training.seed,
        "dataloader_num_workers": training.loader_workers,
        "dataloader_pin_memory": device != "cpu" and torch.cuda.is_available(),
        "use_cpu": device == "cpu",
        "logging_steps": config.logging.every,
        "report_to": list(config.logging.report_to) or "none",
        "save_strategy": "steps",
        "save_total_limit": 2,
        "restore_callback_states_from_checkpoint": True,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "disable_tqdm": True,
    }
