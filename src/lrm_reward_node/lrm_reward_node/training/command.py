"""``lrm train reward-model``: from episodes to a checkpoint and its figures on held-out episodes."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from lrm_core.disk import whole_file
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_core.sources import source_function
from lrm_reward_node.evaluation.episodes import score_episodes
from lrm_reward_node.evaluation.quality import quality, rounded
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.training.episodes_io import SOURCE_PARAMETERS, SPLITS, EpisodeSource, folder_source, save_episode
from lrm_reward_node.training.loop import GO_ON
from lrm_reward_node.training.presets import PRESETS, Preset
from lrm_reward_node.training.stages import Training
from lrm_reward_node.training.table import build_table
from lrm_reward_node.training.tampering import with_tampered


@dataclasses.dataclass(frozen=True)
class Options:
    """Arguments of a run; see ``lrm train reward-model --help``."""

    out: Path
    work: Path
    preset: str = "cpu"
    source: str = "lrm_sim.reward_data:reward_episodes"
    source_args: str = "{}"
    episodes_npz: Path | None = None
    keep_episodes: Path | None = None
    episodes: int = 0
    evaluation_episodes: int = -1
    workers: int = 1
    device: str = ""
    seed: int = 0
    minutes: float = 0.0
    scale: float = 1.0
    threads: int = 0
    resume: bool = False
    start: Path | None = None
    bf16: bool = False


def train(options: Options) -> int:
    """Collect, train, evaluate; figures go to ``work/quality.json`` and to standard output. Returns an exit code."""
    preset = _preset(options)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.threads:
        torch.set_num_threads(options.threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    if preset.evaluation_episodes and importlib.util.find_spec("torchvision") is None:
        raise BadInput(
            "torchvision",
            "not installed",
            "installed: the image processor of the evaluation needs it",
            "Or give --evaluation-episodes 0 and run bench/reward_quality.py later.",
        )
    if options.start is not None and not (options.start / "config.json").is_file():
        raise BadInput("--from", str(options.start), "the folder of a checkpoint that lrm train reward-model wrote")
    source = _Source(options)
    started = time.monotonic()
    honest = source("train", preset.episodes)
    table = build_table(with_tampered(honest, np.random.default_rng(options.seed)))
    _say(started, f"{preset.episodes} episodes, {len(table)} frames, {table.success.mean():.2f} of them successful")
    training = Training(
        table, preset, options.out, options.work, device, options.seed, options.resume, options.start, options.bf16
    )
    size = sum(p.numel() for p in training.model.parameters()) / 1e6
    _say(started, f"{size:.1f} M parameters, {len(training.tokenizer)} tokens, training on {device}")
    training.run()
    _say(started, f"checkpoint in {options.out}")
    figures = evaluate(options.out, source, preset, str(device))
    text = json.dumps(rounded(figures), indent=2)
    with whole_file(options.work / "quality.json", GO_ON) as partial:
        partial.write_text(text + "\n")
    print(text)
    _say(started, "done")
    return 0


def evaluate(folder: Path, source: EpisodeSource, preset: Preset, device: str) -> dict[str, dict[str, float]]:
    """Figures of the shipped checkpoint, through its real readout, per held-out split."""
    from lrm_reward_node.vlm.qwen import load

    pipeline = RewardPipeline(load(str(folder), device=device))
    figures = {}
    for split in SPLITS[1:]:
        if preset.evaluation_episodes:
            episodes = source(split, preset.evaluation_episodes)
            figures[split] = quality(list(score_episodes(pipeline, episodes, preset.query_gap_frames)))
    return figures


class _Source:
    """Episodes as asked on the command line, with a progress bar, kept on disk when wanted."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.read = (
            folder_source(options.episodes_npz)
            if options.episodes_npz
            else source_function(options.source, parameters=SOURCE_PARAMETERS)
        )
        self.arguments: dict[str, Any] = _json(options.source_args)

    def __call__(self, split: str, episodes: int) -> Iterable[EpisodeRecord]:
        found = self.read(split=split, episodes=episodes, workers=self.options.workers, **self.arguments)
        return track(self._kept(split, found), description=f"{split:>15}", total=episodes)

    def _kept(self, split: str, found: Iterable[EpisodeRecord]) -> Iterator[EpisodeRecord]:
        for number, episode in enumerate(found):
            if self.options.keep_episodes:
                save_episode(self.options.keep_episodes / split / f"{number:05d}.npz", episode)
            yield dataclasses.replace(episode, wrist=episode.wrist[:0])  # the front camera only: saves memory


def _preset(options: Options) -> Preset:
    if options.preset not in PRESETS:
        raise BadInput("--preset", options.preset, f"one of {sorted(PRESETS)}")
    preset = PRESETS[options.preset].adapted() if options.start else PRESETS[options.preset]
    if not options.scale > 0.0:
        raise BadInput("--scale", options.scale, "a number above 0")
    preset = preset.scaled(options.scale)
    if options.episodes:
        preset = dataclasses.replace(preset, episodes=options.episodes)
    if options.evaluation_episodes >= 0:
        preset = dataclasses.replace(preset, evaluation_episodes=options.evaluation_episodes)
    return preset.within(options.minutes) if options.minutes else preset


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput("--source-args", text, "a JSON object", str(error)) from error
    if not isinstance(value, dict):
        raise BadInput("--source-args", text, "a JSON object")
    return value


def _say(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)
