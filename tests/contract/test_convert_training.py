"""Bags become policies and critics: trained by either trainer, joined by the learner's own rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrm_bringup.cli import main
from lrm_bringup.demo.folder import new_run_folder, seed_learner
from lrm_bringup.graph import LEARNER
from lrm_bringup.parameters import shipped
from lrm_core.delivery import RewardDelivery
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.lerobot.demonstrations import from_dataset
from lrm_policy_node.rl.features import FEATURES
from lrm_policy_node.runtime.loading import load_base_policy
from robot_bags import SIZE, write_episode

SMALL = ("policy.dim_model=16", "policy.n_heads=2", "policy.dim_feedforward=16", "policy.n_encoder_layers=1")


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    """A refined episode of 5 decisions, one of whose frames has an UNKNOWN progress, and an evaluation."""
    write_episode(tmp_path / "bags" / "a", episode="a", steps=44, unknown=[10], features=FEATURES, replayed="other")
    write_episode(tmp_path / "bags" / "b", episode="b", steps=20, reason="max_steps")
    return tmp_path / "bags"


def resumed(folder: Path) -> Learner:
    return Learner(replace(shipped(LEARNER), folder=str(folder)))


def test_a_learner_resumes_with_the_transitions_of_the_bags(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "warm"
    assert main(["train", "critic", "--from-bags", str(bags), "--out", str(out)]) == 0
    assert "3 transitions of 1 episodes; left out 2 with an UNKNOWN score and 0 without one" in capsys.readouterr().out
    told = json.loads((out / "warm_start.json").read_text())
    assert (told["transitions"], told["unknown"], told["without"]) == (3, 2, ["b"])
    run = new_run_folder(tmp_path / "runs")
    seed_learner(run, out)
    learner = resumed(run / "checkpoints")
    assert (learner.transitions, learner.episodes, learner.version) == (3, 1, 1)
    assert learner.fit()
    assert np.isfinite(learner.critic.loss)
    learner.close()
    assert main(["train", "critic", "--from-bags", str(bags), "--out", str(out)]) == 2


def test_rewards_are_those_of_the_replay_where_it_is_named(bags: Path, tmp_path: Path) -> None:
    def rewards(out: Path, *words: str) -> np.ndarray:
        assert main(["train", "critic", "--from-bags", str(bags), "--out", str(out), *words]) == 0
        learner = resumed(out)
        learner.close()
        return learner.online.all().rewards

    live = rewards(tmp_path / "live")
    replayed = rewards(tmp_path / "replayed", "--rewards", "replay/other")
    np.testing.assert_allclose(replayed, live / 2, atol=1e-6)
    delivery = RewardDelivery(shipped(LEARNER))
    weights = delivery.params.progress_weight + delivery.params.completion_weight
    expected = weights * (delivery.params.discount * 0.8 - 0.7)  # frames 20 and 30: all heads say 0.5 + 0.01 * step
    assert live[0] == pytest.approx(expected, abs=1e-6)


def test_bags_without_transitions_start_nothing(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "critic", "--from-bags", str(bags / "b"), "--out", str(tmp_path / "warm")]) == 2
    assert "take the bags of a refinement" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bags"]


def test_a_demo_refuses_a_warm_start_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--warm-start", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "lrm train critic writes one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_lerobot_train_made_of_bags_plans_in_the_policy_node(bags: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "policy", tmp_path / "policy.dataset"
    words = ["--steps", "1", "--batch", "2", "--trainer", "lerobot", "--device", "cpu"]
    handed_on = ["--", *(f"--{word}" for word in SMALL)]
    assert main(["train", "policy", "--from-bags", str(bags), "--out", str(out), *words, *handed_on]) == 0
    policy = load_base_policy(str(out), "cpu")
    assert (policy.chunk_steps, policy.joints) == (10, 6)
    assert json.loads((out / "config.json").read_text())["dim_model"] == 16
    told = json.loads((data / "meta" / "lrm_export.json").read_text())
    assert [episode["episode_id"] for episode in told["episodes"]] == ["a"]
    ours = from_dataset(data)  # what --trainer lrm would learn from
    assert (ours.episodes, ours.states.shape, ours.images["observation.images.wrist"].shape[1:]) == (
        1,
        (45, 6),
        (SIZE, SIZE, 3),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "x", "--", "--policy.type=act"], "--trainer lerobot"),
        (["--source", "a:b", "--trainer", "lerobot"], "--from-bags"),
    ],
)
def test_options_that_nobody_would_read_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "policy", "--out", str(tmp_path / "p"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
