"""The stages of training the tiny reward model."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from lrm_core.disk import room
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.training import auxiliary, pools
from lrm_reward_node.training.batches import Batcher
from lrm_reward_node.training.checkpoint import load_model, new_model, save_processor
from lrm_reward_node.training.forward import PATCHES, Forward
from lrm_reward_node.training.images import Augmentation, patches
from lrm_reward_node.training.loop import GO_ON, StageParams, StageRunner
from lrm_reward_node.training.presets import Preset
from lrm_reward_node.training.questions import PromptTable, auxiliary_pieces
from lrm_reward_node.training.table import FrameTable
from lrm_reward_node.training.tokenizer import build_tokenizer
from lrm_reward_node.vlm.vision import encode_images

LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
ADAPTER_SHARES: dict[RewardHead, dict[str, float]] = {
    RewardHead.CONTRASTIVE: {"contrastive": 1.0},
    RewardHead.PROGRESS: {"progress": 0.85, "progress_alone": 0.15},
    RewardHead.COMPLETION: {"completion": 1.0},
}
BACKBONE_SHARES = {"auxiliary": 0.3, "completion": 0.2, "progress_alone": 0.05, "progress": 0.25, "contrastive": 0.2}
"""Share of each pool in a batch of the backbone stage."""


class VisionRegression(nn.Module):
    """The vision tower with a head that regresses privileged facts.

    Targets per picture: position of every known thing, of the tool centre point, gripper opening (metres, scaled), and
    whether each thing is held or lies in a container.
    """

    def __init__(self, visual: Any, table: FrameTable) -> None:
        super().__init__()
        self.visual = visual
        width = visual.config.out_hidden_size * (PATCHES // visual.config.spatial_merge_size) ** 2
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 3 * len(table.things) + 4 + 2 * len(table.things))
            )
            for _ in range(1 + len(visual.config.deepstack_visual_indexes))
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Outputs (N, D) read off the image tokens and off each deepstack layer, for patches (N, P, D)."""
        tokens, deepstack = encode_images(self.visual, images, PATCHES, PATCHES)
        return [head(part.flatten(1)) for head, part in zip(self.heads, (tokens, *deepstack), strict=True)]


def regression_targets(table: FrameTable) -> tuple[np.ndarray, np.ndarray]:
    """Targets (F, D) and which of them are known (F, D); D = 3 T + 4 scaled metres, then 2 T flags in {0, 1}."""
    frames, things = len(table), len(table.things)
    places, flags = np.full((frames, things, 3), np.nan), np.full((frames, things, 2), np.nan)
    names = table.names[table.episode]
    for slot in range(names.shape[1]):
        known = np.flatnonzero(names[:, slot] >= 0)
        places[known, names[known, slot]] = table.places[known, slot]
        if slot < table.held.shape[1]:
            flags[known, names[known, slot], 0] = table.held[known, slot]
            inside = table.inside[known, slot].astype(float)
            clear = (inside >= 0).all(-1)
            flags[known, names[known, slot], 1] = np.where(clear, inside.max(-1), np.nan)
    places[(np.abs(places) > OUT_OF_SIGHT_M).any(-1)] = np.nan
    metres = np.concatenate((places.reshape(frames, -1), table.tcp, table.gripper_m[:, None]), 1) * METRE_SCALE
    targets = np.concatenate((metres, flags.reshape(frames, -1)), 1).astype(np.float32)
    return np.nan_to_num(targets), np.isfinite(targets)


METRE_SCALE = 10.0
OUT_OF_SIGHT_M = 1.0
"""From the robot's base. What fell off the table falls on for metres; one such target outweighs a hundred others."""


@dataclass
class Training:
    """Everything the stages share.

    Attributes:
        table: frames on the CPU or the device; moved to ``device``.
        preset: lengths and sizes.
        out: folder of the finished checkpoint; logs and partial checkpoints go to ``work``.
        seed: of weights, batches and augmentation.
        start: checkpoint to go on from; None starts with random weights.
        bf16: matrix products in 16 bit on a processor too; a GPU always does so.
    """

    table: FrameTable
    preset: Preset
    out: Path
    work: Path
    device: torch.device
    seed: int
    resume: bool
    start: Path | None = None
    bf16: bool = False

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.table.frames = self.table.frames.to(self.device)
        if self.start is None:
            self.tokenizer = tokenizer_for(self.table)
            self.model = new_model(self.tokenizer).to(self.device)
        else:
            self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.start)
            self.model = load_model(self.start).to(self.device)
        self.runner = StageRunner(self.work)
        self.generator = torch.Generator(self.device).manual_seed(self.seed)
        self.batchers = make_batchers(self.table, self.tokenizer, self.preset.query_gap_frames, self.device, self.seed)
        self.draws = StageDraws(self.generator, self.batchers, self.seed)

    def run(self) -> Path:
        """All stages, each skipped when it is already finished and ``resume`` is set; returns the checkpoint folder."""
        if self.preset.see.steps:
            self.see()
        self.read()
        self.save_base()
        self.adapt()
        return self.out

    def see(self) -> None:
        """Stage 1: the vision tower regresses privileged facts."""
        targets, known = (torch.from_numpy(a).to(self.device) for a in regression_targets(self.table))
        metres = 3 * len(self.table.things) + 4
        module = VisionRegression(self.model.model.visual, self.table).to(self.device)

        def loss(batch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
            index = torch.randint(len(self.table), (batch,), device=self.device, generator=self.generator)
            images = patches(self.table.frames, index, Augmentation(), self.generator)
            with self._autocast():
                outputs = module(images)
            want, valid = targets[index], known[index]
            total = torch.zeros((), device=self.device)
            for output in outputs:
                output = output.float()
                total = total + functional.smooth_l1_loss(
                    output[:, :metres][valid[:, :metres]], want[:, :metres][valid[:, :metres]], beta=0.1
                )
                flags = valid[:, metres:]
                total = total + 0.2 * functional.binary_cross_entropy_with_logits(
                    output[:, metres:][flags], want[:, metres:][flags]
                )
            with torch.no_grad():
                error = (
                    (outputs[0].float()[:, :metres] - want[:, :metres]).abs()[valid[:, :metres]].mean()
                    * 100.0
                    / METRE_SCALE
                )
            return total, {"error_cm": error}

        self._stage("see", self.preset.see, module, loss)

    def read(self) -> None:
        """Stage 2: the whole model answers the three prompts and the auxiliary questions."""
        self._stage("read", self.preset.read, self.model, self._loss(BACKBONE_SHARES, train_vision=True))

    def save_base(self) -> None:
        """Write backbone and processor, 16 bit."""
        with room(self.out, GO_ON):
            self._save_base()

    def _save_base(self) -> None:
        save_processor(self.out, self.tokenizer)
        state = {name: tensor.detach().to("cpu", torch.float16) for name, tensor in self.model.state_dict().items()}
        self.model.save_pretrained(self.out, state_dict=state)
        config = json.loads((self.out / "config.json").read_text())
        for part in ("text_config", "vision_config"):
            config[part].pop("dtype", None)  # of the model in memory
        (self.out / "config.json").write_text(json.dumps({**config, "dtype": "float16"}, indent=2) + "\n")

    def adapt(self) -> None:
        """Stage 3: one LoRA adapter per head on the frozen backbone."""
        config = LoraConfig(r=self.preset.lora_rank, lora_alpha=2 * self.preset.lora_rank, target_modules=LORA_TARGETS)
        first, *others = [head.value for head in MODEL_HEADS]
        torch.manual_seed(self.seed)  # of the adapters' first weights, whatever was drawn before
        peft = get_peft_model(self.model, config, adapter_name=first)
        for name in others:
            peft.add_adapter(name, config)
        if self.start is not None:
            for head in MODEL_HEADS:
                peft.load_adapter(str(self.start / head.value), head.value, is_trainable=True)
        for head, shares in ADAPTER_SHARES.items():
            peft.set_adapter(head.value)
            self._stage(f"adapt_{head.value}", self.preset.adapt, peft, self._loss(shares, train_vision=False))
        with room(self.out, GO_ON):
            peft.save_pretrained(self.work / "adapters", selected_adapters=[head.value for head in MODEL_HEADS])
            for head in MODEL_HEADS:  # PEFT also writes a model card of its own, which is left behind
                shutil.copytree(self.work / "adapters" / head.value, self.out / head.value, dirs_exist_ok=True)

    def _stage(self, name: str, params: StageParams, module: nn.Module, loss: Any) -> None:
        if self.resume and self.runner.finished(name):
            self.runner.load(name, "done", module)
            return
        module.train()
        self.draws.start(name)
        self.runner.run(name, params, module, loss, self.resume, self.draws)

    def _loss(self, shares: Mapping[str, float], train_vision: bool) -> Any:
        forward = Forward(self.model, self.table.frames, Augmentation(), self.generator, train_vision)

        def loss(batch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
            counts = [{n: round(batch * s) for n, s in shares.items() if n in b.pools} for b in self.batchers]
            used = [(b, c) for b, c in zip(self.batchers, counts, strict=True) if sum(c.values())]
            drawn = [b.draw(c) for b, c in used]
            with self._autocast():
                results = forward.losses(drawn)
            rows = sum(len(b.ids) for b in drawn)
            total = sum(
                (value * (len(b.ids) / rows) for (value, _), b in zip(results, drawn, strict=True)),
                torch.zeros((), device=self.device),
            )
            figures = {}
            for (batcher, names), (_, per_row), b in zip(used, results, drawn, strict=True):
                for name in names:
                    chosen = b.pool == list(batcher.pools).index(name)
                    figures[name] = (per_row * chosen).sum() / chosen.sum()
            return total, figures

        return loss

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16 or self.device.type == "cuda")


@dataclass
class StageDraws:
    """Random numbers of augmentation and batches; every stage starts with its own, whatever ran before it."""

    generator: torch.Generator
    batchers: list[Batcher]
    seed: int

    def start(self, stage: str) -> None:
        """Start the numbers of a stage."""
        first = zlib.crc32(f"{stage} {self.seed}".encode())
        self.generator.manual_seed(first)
        for number, batcher in enumerate(self.batchers, 1):
            batcher.reseed(first + number)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`lrm_reward_node.training.loop.Draws`."""
        states = [json.dumps(batcher.rng.bit_generator.state) for batcher in self.batchers]
        return {"generator": self.generator.get_state(), "batchers": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`lrm_reward_node.training.loop.Draws`."""
        self.generator.set_state(state["generator"])
        for batcher, text in zip(self.batchers, state["batchers"], strict=True):
            batcher.rng.bit_generator.state = json.loads(text)


def tokenizer_for(table: FrameTable) -> PreTrainedTokenizerFast:
    """Tokenizer whose words are those of the tasks and of the auxiliary questions."""
    words = [*table.tasks, *table.things, f"Where is the {auxiliary.GRIPPER}?", "Is there a held in"]
    return build_tokenizer(words, [*auxiliary_pieces(), "Question: How far is the", "Question: How high is the"])


def make_batchers(
    table: FrameTable, tokenizer: PreTrainedTokenizerFast, gap: int, device: torch.device, seed: int
) -> list[Batcher]:
    """Batchers of the one-picture and of the two-picture prompts."""
    one, two = PromptTable(tokenizer, 1), PromptTable(tokenizer, 2)
    rng = np.random.default_rng(seed)
    single = [
        auxiliary.auxiliary_pool(table, one),
        pools.completion_pool(table, one),
        pools.progress_pool(table, one, initial=False),
    ]
    double = [pools.progress_pool(table, two, initial=True), pools.contrastive_pool(table, two, gap, rng)]
    return [
        Batcher(one, {pool.name: pool for pool in single}, device, seed + 1),
        Batcher(two, {pool.name: pool for pool in double}, device, seed + 2),
    ]
