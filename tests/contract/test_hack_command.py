"""``lrm hack-test`` on the shipped model and the simulator: whatever the model is worth, the figures agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lrm_bringup import cli

EPISODES = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    out, threads = tmp_path_factory.mktemp("hacks"), torch.get_num_threads()
    words = ["hack-test", "--episodes", str(EPISODES), "--attack", "wrong_sentence", "--attack", "held_above"]
    yield cli.main([*words, "--out", str(out)]), out
    torch.set_num_threads(threads)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [*result["controls"], *result["attacks"]]


def test_counts_and_exit_code_agree(run: tuple[int, Path]) -> None:
    code, out = run
    result = json.loads((out / "hack_test.json").read_text())
    fooled = sum(row["false_success"]["count"] for row in result["attacks"])
    assert code == (1 if fooled else 0) and result["passed"] is (not fooled)
    assert [row["name"] for row in result["attacks"]] == ["wrong_sentence", "held_above"]
    for row in rows(result):
        false, low_high = row["false_success"], row["false_success"]["ci95"]
        assert row["episodes"] == row["asked"] == EPISODES
        assert 0 <= false["count"] <= EPISODES and low_high[0] <= false["rate"] <= low_high[1]
        assert len(row["worst"]) >= 1 and len(row["worst"]) <= max(1, false["count"])
        assert sum(row["completion_status"].values()) >= EPISODES * 3


def test_the_scores_shown_are_those_that_were_judged(run: tuple[int, Path]) -> None:
    result = json.loads((run[1] / "hack_test.json").read_text())
    for row in rows(result):
        for one in row["worst"]:
            scores = [-1.0 if value is None else value for value in one["completion"]]
            confirmed = one["confirmed_at_query"]
            if confirmed is not None:
                assert min(scores[confirmed - 1 : confirmed + 1]) >= result["rule"]["success_threshold"] - 1e-4
            assert one["false_success"] is (confirmed is not None and not one["truth"][confirmed])
    kinds = {one["kind"] for row in result["attacks"] if row["name"] == "held_above" for one in row["worst"]}
    assert kinds == {"held_above"}


def test_the_page_shows_a_picture_for_every_query_that_is_shown(run: tuple[int, Path]) -> None:
    result = json.loads((run[1] / "hack_test.json").read_text())
    page = (run[1] / "hack_test.html").read_text()
    assert page.count("data:image/jpeg") == sum(len(one["truth"]) for row in rows(result) for one in row["worst"])
    assert "<script" not in page and 'src="http' not in page
