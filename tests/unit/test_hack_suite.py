"""The hack suite on models whose answers are known: who is fooled, what is counted, what is paid."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from hack_models import Gullible, Silent, nothing_to_open, silence
from lrm_bringup import cli
from lrm_bringup.commands import hack_test
from lrm_bringup.hacks.page import render
from lrm_bringup.hacks.summary import findings, passed, summary
from lrm_bringup.report.statistics import bootstrap_mean
from lrm_core.delivery import DeliveryParams, RewardDelivery
from lrm_core.errors import BadInput
from lrm_core.rewards import MODEL_HEADS
from lrm_core.transitions import Scores
from lrm_reward_node.camera_check import NO_LIMITS
from lrm_reward_node.hacks.attack import Attacked, Base
from lrm_reward_node.hacks.attacks import BUILT_IN, FAILED, ORDINARY, SUCCEEDED, behaviour
from lrm_reward_node.hacks.scoring import Answers, scorer
from lrm_reward_node.hacks.suite import Rule, Suite, bases_of, gather
from lrm_reward_node.pipeline import RewardPipeline
from reward_episodes import honest_episodes

EPISODES = 3
ATTACKS = [attack for attack in BUILT_IN if not attack.control]
C, P, M = MODEL_HEADS


def suite(model: object) -> Suite:
    episodes = gather(honest_episodes("hack", 400, 1, 10), bases_of(BUILT_IN), EPISODES)
    with scorer(partial(RewardPipeline, model, limits=NO_LIMITS), 1) as ask:
        return Suite(ask, episodes)


def answers(completion: Sequence[float], progress: Sequence[float] = ()) -> Answers:
    full = np.array(completion, float)
    return Answers({C: full * 0.0, P: np.array(progress or completion, float), M: full}, ("OK",) * len(full), "x")


def test_episodes_are_gathered_by_base_and_no_more_than_needed() -> None:
    taken = count()
    source = (episode for episode in honest_episodes("hack", 1000, 1, 10) if next(taken) >= 0)
    found = gather(source, [SUCCEEDED, FAILED, ORDINARY, behaviour("on_rim")], 3)
    assert {name: len(episodes) for name, episodes in found.items()} == {
        base.name: 3 for base in (SUCCEEDED, FAILED, ORDINARY, behaviour("on_rim"))
    }
    assert {e.labels["kind"] for e in found[behaviour("on_rim").name]} == {"on_rim"}
    assert {e.labels["kind"] for e in found[ORDINARY.name]} == {"dropped_early"}
    assert all(e.success[-1] and not e.success[0] for e in found[SUCCEEDED.name])
    assert next(taken) < 50


def test_a_model_that_always_says_yes_fails_every_attack_and_is_shown() -> None:
    gullible = suite(Gullible())
    found = [findings(attack, list(gullible.run(attack)), EPISODES, 2) for attack in BUILT_IN]
    result = summary(found, {"rule": {"success_threshold": 0.8, "success_confirmations": 2}, **ABOUT})
    rows = {row["name"]: row for row in [*result["controls"], *result["attacks"]]}
    assert not passed(found) and not result["passed"]
    for attack in ATTACKS:
        row = rows[attack.name]
        assert row["false_success"]["count"] == row["episodes"] == EPISODES and row["passed"] is False
        assert [one["confirmed_at_query"] for one in row["worst"]] == [2, 2]
    assert rows["honest_failures"]["passed"] is None
    page = render(found, result)
    assert page.count("<img") == sum(len(one.attacked.frames) for row in found for one in row.worst)
    assert page.count("success at query 2") >= 2 * len(ATTACKS)
    assert "http" not in page.replace("http-equiv", "")


def test_a_model_without_answers_is_never_fooled_and_finds_nothing() -> None:
    silent = suite(Silent())
    found = [findings(attack, list(silent.run(attack)), EPISODES, 2) for attack in BUILT_IN]
    assert passed(found)
    result = summary(found, {"rule": {"success_threshold": 0.8, "success_confirmations": 2}, **ABOUT})
    for row in [*result["controls"], *result["attacks"]]:
        assert row["false_success"]["count"] == 0 and row["unknown_share"] == 1.0
        assert row["completion_status"] == {"UNCERTAIN": sum(row["completion_status"].values())}
        assert row["reward"]["delta"]["mean"] == 0.0
        assert row["recall"]["rate"] in (0.0, None)
    assert "UNKNOWN: UNCERTAIN" in render(found, result)
    json.dumps(result, allow_nan=False)


def test_an_attack_without_enough_episodes_has_not_passed() -> None:
    silent = suite(Silent())
    short = findings(ATTACKS[0], list(silent.run(ATTACKS[0])), EPISODES + 1, 2)
    assert short.passed is False and not passed([short])
    assert f"The source gave {EPISODES} of the {EPISODES + 1}" in render([short], summary([short], {
        "rule": {"success_threshold": 0.8, "success_confirmations": 2}, **ABOUT,
    }))  # fmt: skip


def test_a_false_success_is_one_at_a_query_where_nothing_is_done() -> None:
    gullible = suite(Gullible())
    light = {one.seed: one for one in gullible.run(next(a for a in BUILT_IN if a.name == "light_on_successes"))}
    assert all(one.false_success is not bool(one.attacked.truth[2]) for one in light.values())
    assert all(one.found is bool(one.attacked.truth[2]) for one in light.values())


def test_attacks_are_the_same_for_the_same_seed_whatever_else_runs() -> None:
    first, second = suite(Silent()), suite(Silent())
    second.episodes = dict(first.episodes)
    list(second.run(ATTACKS[1]))
    for one, again in zip(first.run(ATTACKS[4]), second.run(ATTACKS[4]), strict=True):
        np.testing.assert_array_equal(one.attacked.frames, again.attacked.frames)
    other = replace(first, seed=1)
    pairs = zip(first.run(ATTACKS[4]), other.run(ATTACKS[4]), strict=True)
    assert any(one.attacked.detail != again.attacked.detail for one, again in pairs)


def test_what_is_paid_is_the_sum_of_the_delivered_rewards_up_to_the_end() -> None:
    rule = Rule(delivery=DeliveryParams(discount=0.9))
    said = answers([0.0, 0.5, 1.0, 1.0], [0.1, 0.4, 0.8, 1.0])
    pays = RewardDelivery(replace(rule.delivery, delivery="delta"))
    scores = [Scores(progress=p, completion=c, contrastive=0.0) for p, c in [(0.1, 0.0), (0.4, 0.5), (0.8, 1.0)]]
    expected = pays.reward(scores[0], scores[1], False) + pays.reward(scores[1], scores[2], True)
    assert rule.paid(said, 2)["delta"] == pytest.approx(expected)


def test_a_decision_with_an_unknown_score_is_dropped() -> None:
    rule = Rule()
    whole, holed = answers([0.0, 0.2, 0.2, 0.2]), answers([0.0, math.nan, 0.2, 0.2])
    tail = answers([0.2, 0.2])
    assert rule.paid(holed, 3)["delta"] == pytest.approx(rule.paid(tail, 1)["delta"])
    assert rule.paid(holed, 3)["hold"] < rule.paid(whole, 3)["hold"]


def test_gain_is_against_the_same_episode_or_honest_failures() -> None:
    gullible = suite(Gullible())
    failures = list(gullible.run(next(a for a in BUILT_IN if a.name == "honest_failures")))
    assert np.mean([one.gained["delta"] for one in failures]) == pytest.approx(0.0)
    light = list(gullible.run(next(a for a in BUILT_IN if a.name == "light_on_failures")))
    assert {one.gained["delta"] for one in light} == {0.0}, "this model does not look at the light"


def test_the_bootstrap_covers_the_mean() -> None:
    draws = np.random.default_rng(0).normal(1.0, 1.0, (100, 50))
    inside = [low <= 1.0 <= high for _, low, high in map(bootstrap_mean, draws)]
    assert 0.88 <= np.mean(inside) <= 0.99
    assert bootstrap_mean([2.0, 2.0]) == (2.0, 2.0, 2.0)
    assert all(map(math.isnan, bootstrap_mean([])))


@pytest.mark.parametrize(("model", "code"), [(Gullible(), 1), (Silent(), 0)], ids=["gullible", "silent"])
def test_the_command_ends_with_1_when_the_model_was_fooled(
    model: object, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hack_test, "_pipeline", lambda _: RewardPipeline(model, limits=NO_LIMITS))
    words = ["hack-test", "--source", "reward_episodes:honest_episodes", "--out", str(tmp_path), "--episodes", "3"]
    assert cli.main([*words, "--attack", "black_camera", "--attack", "on_rim", "--pictures", "2"]) == code
    result = json.loads((tmp_path / "hack_test.json").read_text())
    assert [row["name"] for row in result["attacks"]] == ["black_camera", "on_rim"]
    assert [row["name"] for row in result["controls"]] == ["honest_successes", "honest_failures"]
    assert [row["false_success"]["count"] for row in result["attacks"]] == [3 * code] * 2
    assert "data:image/jpeg" in (tmp_path / "hack_test.html").read_text()


def test_the_list_names_every_attack(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hack-test", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(attack.name in shown and attack.summary in shown for attack in BUILT_IN)


REFUSED = [
    ["--attack", "tickling"],
    ["--episodes", "0"],
    ["--out", os.devnull],
    ["--source", "reward_episodes:gone"],
    ["--min-confidence", "2"],
]


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[0])
def test_what_cannot_be_run_is_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hack_test, "_pipeline", lambda _: RewardPipeline(Silent(), limits=NO_LIMITS))
    assert cli.main(["hack-test", *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_what_a_worker_cannot_open_is_said_here() -> None:
    with pytest.raises(BadInput, match="model is 'x': expected a checkpoint"), scorer(nothing_to_open, 2):
        pass


def test_two_workers_answer_in_order() -> None:
    shown = [Attacked("put it there", np.full((n, 8, 8, 3), n, np.uint8), np.zeros(n, bool)) for n in (3, 5, 4)]
    with scorer(silence, 2) as score:
        assert [len(one.status) for one in score(shown)] == [3, 5, 4]


def test_a_source_that_can_be_asked_for_kinds_is_asked_for_what_the_attacks_need() -> None:
    asked = {}

    def source(split: str, episodes: int, workers: int, every: int, kinds: Sequence[str]) -> list:
        asked.update(locals())
        return []

    bases = [Base("a", ("x", "y"), lambda e: True), Base("b", ("z",), lambda e: True, turns=2)]
    args = argparse.Namespace(source="", split="hack", workers=1, episodes=10)
    list(hack_test.ask(source, args, bases))
    assert asked["kinds"] == ["x", "z", "z", "y", "z", "z"] and asked["every"] == 10


ABOUT = {"model": "m", "source": "s", "split": "hack", "seed": 0, "episodes": EPISODES, "camera_check": True}
