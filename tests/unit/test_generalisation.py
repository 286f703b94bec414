"""The table of generalisation: its fast figures are those of the evaluation, its rows those of the simulators."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench import generalisation
from bench.generalisation import COLUMNS, with_intervals
from bench.generalisation_parts import Parts
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS, RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node.evaluation.episodes import ScoredEpisode
from lrm_reward_node.evaluation.quality import quality


def scored(seed: int) -> ScoredEpisode:
    """An episode with random scores, some of them UNKNOWN."""
    rng = np.random.default_rng(seed)
    length = int(rng.integers(3, 9))
    truth = np.sort(rng.random(length))
    success = (truth > 0.6) & (rng.random() < 0.7)
    rows = [[estimate(head, rng) for head in (*MODEL_HEADS, RewardHead.FUSED)] for _ in range(length)]
    return ScoredEpisode("task", "outcome", np.arange(length), np.where(success, 1.0, truth), success, rows)


def estimate(head: RewardHead, rng: np.random.Generator) -> RewardEstimate:
    if rng.random() < 0.1:
        return unknown(head, RewardStatus.CAMERA_FAULT, stamp_ns=1)
    return RewardEstimate(head=head, value=float(rng.random()), status=RewardStatus.OK, stamp_ns=1)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_the_fast_figures_are_those_of_the_evaluation(seeds):
    episodes = [scored(seed) for seed in seeds]
    fast, slow = Parts.of(episodes).figures(np.arange(len(episodes))), quality(episodes)
    for name in set(fast) & set(slow):
        assert fast[name] == pytest.approx(slow[name], nan_ok=True)
    asked = sum(4 * (len(e.frames) - 1) for e in episodes)
    assert fast["unknown_share"] == sum(e.unknown for e in episodes) / asked


@settings(max_examples=15)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5))
def test_an_interval_holds_what_a_resample_gives_and_repeats(seeds):
    episodes = [scored(seed) for seed in seeds]
    found = with_intervals(episodes, 20)
    assert found == with_intervals(episodes, 20) and set(found) == set(COLUMNS)
    assert all(low <= high for value, low, high in found.values() if value is not None)


def test_every_axis_verb_and_task_has_a_row_of_its_own():
    names = [row.name for row in generalisation.rows()]
    assert len(names) == len(set(names)) and "family" not in names
    assert {"held_out_objects", "verb_touch", "held_out_camera_side", "drawer-open-v3"} <= set(names)
    assert [row.name for row in generalisation._chosen(["metaworld"])] == names[-11:]
    with pytest.raises(BadInput, match="--row"):
        generalisation._chosen(["juggling"])


def test_rows_of_another_model_are_not_mixed_in(tmp_path: Path):
    path = tmp_path / "generalisation.json"
    about = {"episodes_per_row": 4, "models": {"a": "1"}}
    assert generalisation._measured(path, about) == {}
    path.write_text(json.dumps({**about, "rows": {"x": {}}}))
    assert generalisation._measured(path, about) == {"x": {}}
    with pytest.raises(BadInput, match="overwrite"):
        generalisation._measured(path, {**about, "models": {"a": "2"}})
