"""What changed between two runs: nothing between a run and itself, and what was made different between others."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lrm_bringup.cli import main
from lrm_bringup.diff.compare import Comparison, Figure, compare
from lrm_bringup.diff.runs import ComparedRun, Episode, read_compared
from lrm_bringup.recorder.bag import Bag
from lrm_bringup.recorder.events import Mark, Phase
from lrm_bringup.recorder.facts import EpisodeFacts
from lrm_bringup.report.journal import RewardSeen
from lrm_core.errors import BadInput
from serialized import DEFINITIONS, message, std_header
from synthetic_run import write_run

TASK = "put the red cube in the blue bowl"


def reward(head: str, value: float, status: str = "OK", latency_s: float = 0.1) -> RewardSeen:
    return RewardSeen("e", head, value, status, 1, 0, 0.9, False, 0.0, latency_s, "f00d")


def episode(seed: int, success: bool, rewards: tuple[RewardSeen, ...] = ()) -> Episode:
    return Episode("after", seed, TASK, success, success, "success_confirmed" if success else "max_steps", rewards)


def run(*successes: bool, first_seed: int = 0) -> ComparedRun:
    return ComparedRun("run", tuple(episode(first_seed + i, s) for i, s in enumerate(successes)))


def figure(comparison: Comparison, name: str) -> Figure:
    (found,) = [one for one in comparison.figures if one.name == name]
    return found


def test_a_run_differs_from_itself_in_nothing(tmp_path: Path) -> None:
    one = read_compared(write_run(tmp_path / "one", bags=False))
    found = compare(one, one)
    assert {figure.group for figure in found.figures} == {"before", "refine", "after"}
    assert [figure.name for figure in found.figures if figure.differs or figure.difference != 0.0] == []
    assert (found.facts, found.parameters) == ([], [])


def test_the_same_scenes_are_compared_as_pairs_and_others_are_not() -> None:
    first, second = run(*[False] * 12), run(*[True] * 10, False, False)
    paired = figure(compare(first, second), "true success")
    assert paired.p == pytest.approx(2 / 1024)
    assert paired.differs
    assert "paired" in paired.method
    apart = figure(compare(first, run(*[True] * 10, False, False, first_seed=100)), "true success")
    assert math.isnan(apart.p)
    assert apart.differs
    assert apart.difference == paired.difference == pytest.approx(10 / 12)


def test_a_success_that_is_none_counts_among_the_failures_alone() -> None:
    fooled = [replace(episode(i, False), confirmed=i < 3) for i in range(6)]
    one = ComparedRun("one", (*fooled, episode(9, True)))
    found = figure(compare(one, one), "false success")
    assert (found.a.value, found.a.n) == (0.5, 6)


def test_unknown_rewards_are_counted_and_never_averaged() -> None:
    rewards = (
        reward("progress", 0.5),
        reward("progress", math.nan, "LATE"),
        reward("contrastive", math.nan, "NO_REFERENCE"),
    )
    one = ComparedRun("one", (episode(0, True, rewards), episode(1, True, rewards)))
    found = compare(one, one)
    assert figure(found, "mean progress").a.value == 0.5
    assert figure(found, "UNKNOWN progress").a.value == 0.5
    assert "UNKNOWN contrastive" not in [one.name for one in found.figures], "the first frame has no reference"


def test_what_was_set_otherwise_is_named_and_the_run_folder_is_no_difference() -> None:
    one = replace(run(True), parameters={"reward.fusion_form": "code", "policy.residual": 0.1}, facts={"seed": "0"})
    other = replace(run(True), parameters={"reward.fusion_form": "paper", "policy.residual": 0.1}, facts={"seed": "1"})
    found = compare(one, other)
    assert found.parameters == [("reward.fusion_form", "code", "paper")]
    assert found.facts == [("seed", "0", "1")]


def test_runs_without_a_phase_in_common_are_compared_as_a_whole_and_it_is_said() -> None:
    bags = replace(run(True), episodes=(replace(episode(0, True), phase="evaluate"),))
    found = compare(run(True, False), bags)
    assert {figure.group for figure in found.figures} == {"all"}
    assert any("no phase in common" in note for note in found.notes)


def test_the_command_prints_json_writes_a_page_and_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(write_run(tmp_path / name, bags=False, seed=seed)) for name, seed in (("a", 1), ("b<", 2)))
    assert main(["diff", one, other, "--json", "--html", str(tmp_path / "diff.html")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["names"] == ["a", "b<"]
    assert ["seed", "1", "2"] in told["facts"]
    page = (tmp_path / "diff.html").read_text()
    assert "true success" in page
    assert "b&lt;" in page
    assert main(["diff", one, other]) == 0
    assert "true success" in capsys.readouterr().out
    assert main(["diff", one, str(tmp_path)]) == 2
    assert "recorder" in capsys.readouterr().err
    with pytest.raises(BadInput, match="run"):
        read_compared(tmp_path / "missing")


def recorded(
    out_dir: Path, name: str, outcome: str, values: Sequence[float], true_success: bool | None, form: str = "code"
) -> None:
    """A bag of one episode with a progress reward per value, as the recorder writes it."""
    facts = Mark(Phase.OVER, name, outcome, task=TASK, seed=int(name[1:]), mode="refine", weights_version=2)
    told = EpisodeFacts(DEFINITIONS).texts(facts, {"parameters": json.dumps({"/reward": {"fusion_form": form}})})
    bag = Bag(out_dir, name, DEFINITIONS, compressed=False, reserve_bytes=0)
    for step, value in enumerate(values):
        header = std_header(step + 1)
        fields = {"header": header, "episode_id": name, "head": "progress", "value": value, "model_latency_s": 0.1}
        sent = message("/reward/progress", "lrm_msgs/msg/Reward", **fields, status=int(math.isnan(value)))
        bag.write(sent.topic, step + 1, sent.data)
    bag.close({**told, "true_success": json.dumps(true_success)})


def test_a_folder_of_bags_is_a_run_and_cut_episodes_are_counted_apart(tmp_path: Path) -> None:
    recorded(tmp_path, "e1", "success_confirmed", [0.2, math.nan, 0.8], True)
    recorded(tmp_path, "e2", "max_steps", [0.1, 0.3], False)
    recorded(tmp_path, "e3", "cancelled", [0.9], None)
    found = read_compared(tmp_path)
    assert [(e.phase, e.seed, e.success, e.confirmed) for e in found.episodes] == [
        ("refine", 1, True, True),
        ("refine", 2, False, False),
    ]
    assert found.cut == {"cancelled": 1}
    assert found.parameters == {"reward.fusion_form": "code"}
    figures = compare(found, found)
    assert figure(figures, "mean progress").a.value == pytest.approx((0.2 + 0.8 + 0.1 + 0.3) / 4)
    assert figure(figures, "UNKNOWN progress").a.value == pytest.approx(1 / 5)
    assert ("cut short", "cancelled", 1, 1) in figures.outcomes


def test_an_unreadable_bag_costs_itself_and_a_parameter_that_changed_is_named(tmp_path: Path) -> None:
    recorded(tmp_path, "e1", "success_confirmed", [0.2, 0.8], True, form="paper")
    recorded(tmp_path, "e2", "max_steps", [0.1, 0.3], False)
    for name in ("e3", "e4"):
        recorded(tmp_path, name, "max_steps", [0.5], False)
    (tmp_path / "e3" / "e3.mcap").write_bytes(b"no bag")
    listed = (tmp_path / "e4" / "metadata.yaml").read_text()
    (tmp_path / "e4" / "metadata.yaml").write_text(listed.replace("seed: '4'", "seed: four"))
    found = read_compared(tmp_path)
    assert [episode.seed for episode in found.episodes] == [1, 2]
    assert found.parameters == {"reward.fusion_form": "code"}
    unreadable, damaged, changed = compare(found, run(True)).notes[-4:-1]
    assert "e3 is left out" in unreadable
    assert "e4 is left out" in damaged
    assert "reward.fusion_form" in changed


def test_a_demo_whose_newest_bag_is_unreadable_takes_the_parameters_of_the_one_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", bags=False)
    recorded(folder / "bags", "e1", "max_steps", [0.5], False)
    recorded(folder / "bags", "e2", "max_steps", [0.5], False)
    (folder / "bags" / "e2" / "e2.mcap").write_bytes(b"no bag")
    found = read_compared(folder)
    assert found.parameters == {"reward.fusion_form": "code"}
    assert "e2 is left out" in found.problems[0]
