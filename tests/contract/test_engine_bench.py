"""What the benchmark of the reward engine counts, assumes and measures, with a small random architecture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from bench.limits import WorkCounter
from bench.random_checkpoint import natural_lengths, random_checkpoint

from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.vlm.encoding import token_ids


def test_work_is_counted_as_on_paper() -> None:
    one, other, table, wanted = torch.ones(3, 5), torch.ones(5, 7), torch.ones(1000, 8), torch.tensor([1, 2])
    with torch.inference_mode(), WorkCounter() as work:
        one @ other
    assert work.flops == 2 * 3 * 5 * 7
    assert work.bytes == 4 * (3 * 5 + 5 * 7 + 3 * 7)
    with torch.inference_mode(), WorkCounter() as work:
        one.view(5, 3).T[1:]
    assert (work.flops, work.bytes) == (0, 0)
    with torch.inference_mode(), WorkCounter() as work:  # a lookup reads what it finds, not the table
        torch.nn.functional.embedding(wanted, table)
    assert work.bytes == 2 * 8 + 2 * (2 * 8 * 4)


def test_prompts_and_answers_have_natural_lengths() -> None:
    """640 x 480 is 300 tokens; published prompts are 365 to 800 tokens long."""
    processor = random_checkpoint("tiny-random", "cpu", torch.float32).processors[RewardHead.PROGRESS]
    assert processor.image_processor.get_number_of_image_patches(480, 640, {}) == 4 * 300
    for head in MODEL_HEADS:
        prompt = prompts.build(head, "put the red cube in the blue bowl")
        assert 365 <= len(token_ids(prompt, [300] * prompt.images, processor)) <= 800
    assert natural_lengths(processor.tokenizer, 100)[RewardHead.CONTRASTIVE] > 100


def test_the_same_seed_gives_the_same_weights_with_adapters_that_act() -> None:
    one, other = (random_checkpoint("tiny-random", "cpu", torch.float32).model.state_dict() for _ in range(2))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert all(tensor.any() for name, tensor in one.items() if "lora_B" in name)


def test_the_benchmark_runs_on_random_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench import reward_engine

    out = tmp_path / "engine.json"
    options = "--architecture tiny-random --streams 1 --rounds 2 --original-rounds 1 --json"
    monkeypatch.setattr(sys, "argv", ["reward_engine", *options.split(), str(out)])
    assert reward_engine.main() == 0
    figures = json.loads(out.read_text())
    assert figures["throughput_ratio"] > 1.0
    assert figures["latency_p50_s"] <= figures["latency_p99_s"]
    for share in figures["shares"].values():
        assert share["flops"] > 0
        assert 0.0 < share["arithmetic_share"] < 1.0
        assert 0.0 < share["bandwidth_share"] < 1.0
    assert "decision_agreement" not in figures
