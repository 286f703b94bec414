"""The checkpoint in ``models/lrm-tiny``: small, fast on one thread, and right on scenes it has not seen."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from lrm_core.resources import model_path
from lrm_core.rewards import MODEL_HEADS, RewardHead
from lrm_reward_node.contract import contract_query
from lrm_reward_node.evaluation.episodes import score_episodes
from lrm_reward_node.evaluation.quality import quality
from lrm_reward_node.pipeline import RewardPipeline
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.swap import in_both_orders
from lrm_reward_node.vlm.qwen import QwenRewardModel, load
from lrm_sim.reward_data import reward_episodes

FOLDER = model_path("lrm-tiny")
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def model() -> QwenRewardModel:
    return load(str(FOLDER))


def test_it_is_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert max(sizes) <= 16 * MEBIBYTE and sum(sizes) <= 40 * MEBIBYTE


def test_three_heads_of_a_new_frame_take_at_most_250_ms_on_one_thread(model: QwenRewardModel) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for stamp_ns in range(8):
        started = time.perf_counter()
        model.score([contract_query(head, 200 + stamp_ns) for head in MODEL_HEADS])
        times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    assert min(times) <= 0.25


@pytest.mark.parametrize("split", ["held_out_seeds", "held_out_pairs"])
def test_it_tells_good_from_bad_on_scenes_it_has_not_seen(model: QwenRewardModel, split: str) -> None:
    """Loose bounds over few episodes; ``bench/reward_quality.py`` measures the real figures over many."""
    figures = quality(list(score_episodes(RewardPipeline(model), reward_episodes(split, 12, 1), 2)))
    assert figures["progress_pearson"] >= 0.75
    assert figures["completion_frame_auc"] >= 0.9
    assert figures["direction_accuracy"] >= 0.8
    assert figures["unknown"] == 0.0


def test_in_both_orders_the_order_of_the_pictures_only_changes_the_sign(model: QwenRewardModel) -> None:
    queries = [contract_query(RewardHead.CONTRASTIVE, stamp_ns) for stamp_ns in (10, 20)]
    reversed_ = [replace(q, current=q.reference, reference=q.current) for q in queries]
    forward, reverse = ([e.value for e in in_both_orders(model, True).score(asked)] for asked in (queries, reversed_))
    assert forward == pytest.approx([-value for value in reverse], abs=2e-3)


def test_greedy_decoding_writes_legal_answers() -> None:
    model = load(str(FOLDER), readout="generate")
    (episode,) = reward_episodes("held_out_seeds", 1, 1)
    (scored,) = score_episodes(RewardPipeline(model), [episode], 4)
    for row in scored.estimates[1:]:
        for estimate in row[:3]:
            assert estimate.ok and estimate.raw_text.strip() in ANSWERS[estimate.head].texts
