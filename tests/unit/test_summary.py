"""The numbers of a run, from a journal written by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.report.check import schema, schema_problems
from lrm_bringup.report.journal import (
    EpisodeEnded,
    JournalWriter,
    RewardSeen,
    RunStarted,
    SafetySeen,
    null_for_nan,
    read_run,
)
from lrm_bringup.report.summary import summarise
from lrm_core.errors import BadInput
from synthetic_run import write_run

STARTED = RunStarted("r", 0, "put a in b", "lrm", "lockstep", 60.0, 2, 2, "2026-01-05T10:00:00", ["demo"], {}, {})


def journal(folder: Path, *entries: object) -> Path:
    writer = JournalWriter(folder / "journal.jsonl")
    for entry in (STARTED, *entries):
        writer.write(entry)
    writer.close()
    return folder


def episode(
    phase: str, seed: int, success: bool | None, predicted: float = math.nan, reason: str = "max_steps"
) -> EpisodeEnded:
    return EpisodeEnded(phase, 0, f"{phase}-{seed}", seed, "t", 10, reason, 0, 1_000_000_000, 0, predicted, success)


def reward(
    head: str, value: float, status: str = "OK", transport: float = 0.01, model: float = 0.1, stamp_ns: int = 1
) -> RewardSeen:
    return RewardSeen("e", head, value, status, stamp_ns, 0, 0.9, False, transport, model, "f")


def test_success_rates_count_the_truth_and_not_the_prediction(tmp_path: Path) -> None:
    rows = [episode("before", 1, True, 0.1), episode("before", 2, False, 0.9), episode("before", 3, True, 0.9)]
    before = summarise(read_run(journal(tmp_path, *rows)))["success"]["before"]
    assert (before["rate"], before["n"]) == (pytest.approx(2 / 3), 3)
    assert before["predicted_rate"] == pytest.approx(2 / 3)


def test_episodes_cut_short_or_without_truth_are_not_counted(tmp_path: Path) -> None:
    rows = [episode("after", 1, True), episode("after", 2, False, reason="cancelled"), episode("after", 3, None)]
    after = summarise(read_run(journal(tmp_path, *rows)))["success"]["after"]
    assert (after["rate"], after["n"]) == (1.0, 1)


def test_the_difference_pairs_by_seed(tmp_path: Path) -> None:
    rows = [episode("before", s, s < 2) for s in range(4)] + [episode("after", s, True) for s in (3, 2, 1)]
    difference = summarise(read_run(journal(tmp_path, *rows)))["success"]["difference"]
    assert (difference["pairs"], difference["value"]) == (3, pytest.approx(2 / 3))


def test_unknown_rewards_are_counted_by_status_and_head_and_never_as_scored(tmp_path: Path) -> None:
    rows = [
        reward("progress", 0.5),
        reward("progress", math.nan, "LATE", stamp_ns=2),
        reward("fused", math.nan, "LATE"),
    ]
    found = summarise(read_run(journal(tmp_path, *rows)))["reward"]
    assert (found["scored"], found["unknown"]) == (1, 2)
    assert found["unknown_by_status"] == {"LATE": {"fused": 1, "progress": 1}}


def test_a_reward_published_again_at_the_end_of_an_episode_counts_once(tmp_path: Path) -> None:
    rows = [reward("progress", 0.5), reward("progress", 0.5)]
    assert summarise(read_run(journal(tmp_path, *rows)))["reward"]["scored"] == 1


def test_latency_is_transport_plus_model_of_rewards_a_model_ran_for(tmp_path: Path) -> None:
    rows = [reward("progress", 0.5, transport=0.02, model=0.1), reward("fused", 0.5, transport=9.0, model=9.0)]
    rows.append(reward("completion", math.nan, "LATE", transport=5.0, model=math.nan))
    latency = summarise(read_run(journal(tmp_path, *rows)))["reward"]["latency_s"]
    assert latency["p50"] == pytest.approx(0.12)
    assert latency["transport"]["p99"] == pytest.approx(0.02)
    assert latency["model"]["p50"] == pytest.approx(0.1)


def test_safety_counts_go_on_after_the_safety_stage_restarts(tmp_path: Path) -> None:
    rows = [SafetySeen("PASSING", "", n, 0, 0) for n in (5, 9, 2, 4)]
    assert summarise(read_run(journal(tmp_path, *rows)))["safety"]["passed"] == 13


def test_nothing_known_is_null_and_never_zero(tmp_path: Path) -> None:
    summary = summarise(read_run(journal(tmp_path)))
    assert summary["success"]["before"]["rate"] is None
    assert summary["reward"]["latency_s"]["p50"] is None
    assert summary["reward"]["progress_pearson"] is None
    assert schema_problems(summary) == []


def test_a_full_run_keeps_the_schema(tmp_path: Path) -> None:
    summary = summarise(read_run(write_run(tmp_path / "run", bags=False)))
    assert schema_problems(json.loads(json.dumps(summary, allow_nan=False))) == []


def test_every_field_of_the_schema_is_explained() -> None:
    def bare(node: dict, path: str) -> list[str]:
        found = []
        for name, child in node.get("properties", {}).items():
            if "description" not in child and "properties" not in child:
                found.append(f"{path}.{name}")
            found += bare(child, f"{path}.{name}")
        return found

    root = schema()
    assert bare(root, "") == []
    assert [name for name, node in root["$defs"].items() if bare(node, name)] == []


def test_every_field_of_the_schema_is_in_the_reference() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "summary.md").read_text(encoding="utf-8")

    def names(node: dict) -> set[str]:
        found = set(node.get("properties", {}))
        return found.union(*(names(child) for child in node.get("properties", {}).values()))

    root = schema()
    every = names(root).union(*(names(node) for node in root["$defs"].values()))
    assert {name for name in every if not re.search(rf"\b{name}\b", text)} == set()


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = episode("refine", 7, None, math.nan)
    found = read_run(journal(tmp_path, written)).episodes[0]
    assert math.isnan(found.predicted)
    assert found.success is None
    assert (found.seed, found.start_ns, found.end_ns) == (7, 0, 1_000_000_000)


def test_a_line_cut_off_at_the_end_is_forgiven_and_one_in_the_middle_is_not(tmp_path: Path) -> None:
    path = journal(tmp_path, episode("before", 1, True)) / "journal.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"kind": "epi')
    assert len(read_run(tmp_path).episodes) == 1
    path.write_text(whole + '{"kind": "epi\n' + whole.splitlines()[1] + "\n")
    with pytest.raises(BadInput, match="journal line 3"):
        read_run(tmp_path)


@given(st.recursive(st.floats() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_whatever_is_written_is_strict_json(value: object) -> None:
    json.dumps(null_for_nan(value), allow_nan=False)
