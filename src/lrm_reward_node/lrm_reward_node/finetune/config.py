"""What is trained and how: ``config/train/*.yaml`` as frozen dataclasses, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrm_core.errors import LrmError
from lrm_core.params import param
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_core.yaml_tree import Checked, Node, parse
from lrm_reward_node.data.manifest import SPLIT_NAMES

HEAD_NAMES = [head.value for head in MODEL_HEADS]
SELECT_BY = ("nats", "figure")


@dataclass(frozen=True)
class Base:
    """The frozen model below the adapters."""

    path: str = param("", "Folder or hub name of a Qwen3-VL; empty: that of --from, or the shipped tiny one.")
    dtype: str = param("float32", "Number format of the frozen weights.", choices=["float32", "bfloat16", "float16"])


@dataclass(frozen=True)
class Lora:
    """The adapters. With ``--from`` rank, alpha, targets and vision are those of the adapter that is gone on from."""

    rank: int = param(16, "Rank.", low=1, high=1024)
    alpha: float = param(32.0, "Scale; the update is multiplied by alpha / rank.", low=0.001)
    dropout: float = param(0.0, "Share of inputs dropped while training.", low=0.0, high=0.9)
    targets: list[str] = param(["q_proj", "k_proj", "v_proj", "o_proj"], "Linear layers of the language model.")  # noqa: RUF009
    vision: list[str] = param([], "Heads that train a vision tower of their own along.", choices=HEAD_NAMES)  # noqa: RUF009


@dataclass(frozen=True)
class Optimisation:
    """Length and step size of one head: AdamW, cosine schedule after a linear warm-up."""

    steps: int = param(300, "Optimiser steps per head.", low=1)
    batch_size: int = param(16, "Samples per device and forward pass.", low=1, high=4096)
    gradient_accumulation: int = param(1, "Forward passes per optimiser step.", low=1, high=4096)
    learning_rate: float = param(2e-4, "Peak of the schedule.", low=1e-8, high=1.0)
    warmup_ratio: float = param(0.03, "Share of the steps in which it rises.", low=0.0, high=1.0)
    weight_decay: float = param(0.0, "Of AdamW.", low=0.0, high=1.0)
    max_grad_norm: float = param(1.0, "Longer gradients are shortened to this.", low=0.0)
    bf16: bool = param(False, "Matrix products in bfloat16.")
    gradient_checkpointing: bool = param(False, "Compute activations twice, keep fewer.")
    seed: int = param(0, "Of adapters, draws and dropout.", low=0)
    loader_workers: int = param(0, "Processes that read pictures; 0: the training process itself.", low=0, high=64)


@dataclass(frozen=True)
class Evaluation:
    """Held-out figures on the way; the best checkpoint is kept, and training ends early without a better one."""

    every: int = param(100, "Steps between two evaluations, and between two checkpoints; 0: no evaluation.", low=0)
    save_every: int = param(100, "Steps between two checkpoints where there is no evaluation.", low=1)
    samples: int = param(512, "At most so many held-out samples per head.", low=1)
    split: str = param("validation", "Split of the training set that is held out.")
    patience: int = param(5, "Evaluations without a better one before training ends; 0: never.", low=0)
    select_by: str = param("nats", "What better means: likelihood of the right answer, or the head's figure.",
                           choices=SELECT_BY)  # fmt: skip


@dataclass(frozen=True)
class Preference:
    """A second stage for contrastive (DPO): pairs the first is wrong or unsure about, right against wrong."""

    pairs: int = param(0, "At most so many hard pairs; 0: no such stage.", low=0)
    candidates: int = param(2000, "Training pairs that are asked to find them.", low=1)
    max_probability: float = param(0.7, "A pair is hard up to this probability of the right answer.", low=0.0, high=1.0)
    steps: int = param(50, "Optimiser steps.", low=1)
    learning_rate: float = param(5e-6, "Peak of the schedule.", low=1e-9, high=1.0)
    beta: float = param(0.1, "How closely it stays with the first stage.", low=1e-4, high=100.0)


@dataclass(frozen=True)
class Rehearsal:
    """Few-shot (``--episodes``): old tasks are mixed in, lest they be forgotten, and measured before and after."""

    share: float = param(0.0, "Share of the draws that are samples of the old tasks; 0: none.", low=0.0, high=0.95)
    split: str = param("train", "Split with the old tasks that are drawn from.", choices=SPLIT_NAMES)
    check: str = param("", "Split with the old tasks that are measured; empty: none.", choices=["", *SPLIT_NAMES])


@dataclass(frozen=True)
class Logging:
    """Where figures go while it runs."""

    every: int = param(10, "Steps between two lines of figures.", low=1)
    report_to: list[str] = param(["tensorboard"], "Trackers.", choices=["tensorboard", "wandb"])  # noqa: RUF009


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    heads: tuple[RewardHead, ...] = MODEL_HEADS
    base: Base = field(default_factory=Base)
    lora: Lora = field(default_factory=Lora)
    training: Optimisation = field(default_factory=Optimisation)
    evaluation: Evaluation = field(default_factory=Evaluation)
    preference: Preference = field(default_factory=Preference)
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    logging: Logging = field(default_factory=Logging)


SECTIONS = {
    "base": Base, "lora": Lora, "training": Optimisation, "evaluation": Evaluation, "preference": Preference,
    "rehearsal": Rehearsal, "logging": Logging,
}  # fmt: skip


class BadConfig(LrmError):
    """Everything that is wrong with a configuration, one line each."""

    def __init__(self, path: str, problems: list[str]) -> None:
        self.path, self.problems = path, problems
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{path}: {len(problems)} problem{'s' * (len(problems) != 1)} in the configuration{lines}")

    def __reduce__(self) -> tuple[type[BadConfig], tuple[str, list[str]]]:
        return type(self), (self.path, self.problems)


@dataclass(frozen=True)
class _Top:
    heads: list[str] = param(HEAD_NAMES, "Which adapters are trained.", choices=HEAD_NAMES)  # noqa: RUF009


def load(path: Path) -> TrainConfig:
    """Read and check a configuration; what it leaves out has its default.

    Raises:
        BadInput: the file cannot be read, or is no YAML.
        BadConfig: it says something that cannot be; all of it is named, with line, value and what is allowed.
    """
    root, checked = parse(path, "--config", "heads, base, lora and training"), Checked()
    checked.names(root, {"heads": None, **SECTIONS})
    top = checked.build(_Top, root, only=["heads"])
    sections: dict[str, Any] = {name: checked.build(cls, root.child(name)) for name, cls in SECTIONS.items()}
    if top is not None and (not top.heads or len(set(top.heads)) != len(top.heads)):
        checked.note(root.child("heads"), f"heads is {top.heads}: expected some of {HEAD_NAMES}, each once")
    _across(root, checked, sections)
    if checked.problems or top is None:
        raise BadConfig(str(path), checked.problems)
    return TrainConfig(tuple(RewardHead(name) for name in top.heads), **sections)


def _across(root: Node, checked: Checked, sections: dict[str, object]) -> None:
    """What no key can tell alone."""
    lora, evaluation = sections["lora"], sections["evaluation"]
    if isinstance(lora, Lora) and not lora.targets:
        checked.note(root.child("lora").child("targets"), "lora.targets is empty: expected names such as q_proj")
    training = sections["training"]
    if isinstance(evaluation, Evaluation) and isinstance(training, Optimisation) and evaluation.every > training.steps:
        node = root.child("evaluation").child("every")
        text = f"evaluation.every is {evaluation.every}: expected at most training.steps ({training.steps}), or 0"
        checked.note(node, text)
    rehearsal = sections["rehearsal"]
    if isinstance(rehearsal, Rehearsal) and rehearsal.check == rehearsal.split:
        text = f"rehearsal.check is {rehearsal.check!r}, as rehearsal.split: what is trained on cannot be measured on"
        checked.note(root.child("rehearsal").child("check"), text)
