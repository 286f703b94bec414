"""``make tiny`` on the smallest sizes: from nothing to a model card, and the same again after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import make_tiny
from lrm_core.episodes import EpisodeRecord
from lrm_core.errors import BadInput
from lrm_reward_node.training import loop
from lrm_reward_node.training.presets import PRESETS
from make_tiny import ROOT, Run, read_plan
from reward_episodes import synthetic_episode

CONFIG = ROOT / "config" / "make" / "tiny.yaml"
SMALL = [
    "preset=smoke", "source=test_make_tiny:episodes", "workers=1", "threads=1",
    "calibration_episodes=0", "generalisation_episodes=0",
]  # fmt: skip


def episodes(split: str, episodes: int, workers: int, every: int, first: int) -> Iterator[EpisodeRecord]:
    """A source that can be asked to leave out its first episodes."""
    seed = {"train": 0, "held_out_seeds": 1000, "held_out_pairs": 2000}[split]
    return (synthetic_episode(seed + i) for i in range(first, first + episodes))


@pytest.fixture(autouse=True)
def _threads_stay_as_they_were() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interrupted_run_ends_with_the_metrics_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(CONFIG, SMALL)
    Run(plan, tmp_path / "whole", 1.0).run()
    whole = json.loads((tmp_path / "whole" / "model" / "metrics.json").read_text())

    step, calls = loop._Stage.step, 0

    def interrupted(self: loop._Stage, done: float) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += self.name == "read"
        if calls == 3:
            calls += 1
            raise KeyboardInterrupt
        return step(self, done)

    monkeypatch.setattr(loop._Stage, "step", interrupted)
    monkeypatch.setattr(loop.StageRunner.__init__, "__defaults__", (0.0,))
    with pytest.raises(KeyboardInterrupt):
        Run(plan, tmp_path / "broken", 1.0).run()
    (tmp_path / "broken" / "episodes" / "train" / "00007.npz").unlink()  # as if simulated only so far
    (tmp_path / "broken" / "stamps" / "episodes").unlink()
    Run(plan, tmp_path / "broken", 1.0).run()

    assert json.loads((tmp_path / "broken" / "model" / "metrics.json").read_text()) == whole
    with pytest.raises(BadInput, match="--out"):
        Run(plan, tmp_path / "broken", 0.5).run()
    assert set(whole["quality"]) == {"held_out_seeds", "held_out_pairs"} and len(whole["sha256"]) == 4
    model = tmp_path / "broken" / "model"
    assert json.loads((model / "golden.json").read_text())["cases"]
    card = (model / "README.md").read_text()
    assert (
        "held_out_pairs" in card and str(tmp_path) not in card and np.all([h in card for h in whole["sha256"].values()])
    )


def test_what_was_made_with_other_numbers_or_in_another_way_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(CONFIG, SMALL)

    def claim() -> None:
        run = Run(plan, tmp_path / "run", 1.0)
        run.stages = {}
        run.run()

    claim()
    claim()
    with monkeypatch.context() as changed:
        changed.setitem(PRESETS, "smoke", replace(PRESETS["smoke"], lora_rank=8))
        with pytest.raises(BadInput, match="--out"):
            claim()
    claim()
    monkeypatch.setattr(make_tiny, "FORMAT", make_tiny.FORMAT + 1)
    with pytest.raises(BadInput, match="--out"):
        claim()


def test_stages_after_a_training_that_was_done_before_have_its_number_of_threads(tmp_path: Path) -> None:
    run, seen = Run(read_plan(CONFIG, [*SMALL, "threads=2"]), tmp_path, 1.0), list[int]()
    run.stages = {"golden": lambda: seen.append(torch.get_num_threads())}
    torch.set_num_threads(1)
    run.run()
    assert seen == [2]


@pytest.mark.parametrize("change", ["stepz=3", "seed=one", "threads"])
def test_a_configuration_that_cannot_be_used_is_refused(change: str) -> None:
    with pytest.raises(BadInput, match=change.split("=")[0]):
        read_plan(CONFIG, [change])


def test_the_shipped_configuration_fits_its_time() -> None:
    plan = read_plan(CONFIG, [])
    assert sum(plan.minutes.values()) <= 85
    assert set(plan.minutes) == set(Run(plan, Path("nowhere"), 1.0).stages)
