"""The learner without ROS: what it stores, what survives, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_core.transitions import CreditedTransition, Scores, Transition
from lrm_policy_node.learner.journal import Journal
from lrm_policy_node.learner.learner import Learner
from lrm_policy_node.learner.params import LearnerParams
from lrm_policy_node.learner.privileged import PrivilegedRewards
from lrm_policy_node.rl import demos
from lrm_policy_node.rl.actor import Weights
from lrm_policy_node.rl.features import ACTIONS, FEATURES


def transition(index: int, episode: str = "a") -> Transition:
    rng = np.random.default_rng(index)
    draw = lambda size: rng.uniform(-1, 1, size).astype(np.float32)  # noqa: E731
    return Transition(episode, index, index, index + 1, draw(FEATURES), draw(ACTIONS), draw(FEATURES), index == 2)


def credited(index: int, episode: str = "a") -> CreditedTransition:
    return CreditedTransition(transition(index, episode), Scores(0.1, 0.0), Scores(0.4, 1.0))


@pytest.fixture
def params(tmp_path: Path) -> LearnerParams:
    return LearnerParams(folder=str(tmp_path / "state"), value_features=32, gain_features=16)


def teach(learner: Learner, episode: str = "a") -> None:
    for index in range(3):
        learner.add_transition(transition(index, episode), now_s=0.0)
    for stamp in range(4):
        for head in (RewardHead.PROGRESS, RewardHead.COMPLETION):
            learner.add_reward(episode, RewardEstimate(head, 0.5, RewardStatus.OK, stamp_ns=stamp))
    learner.collect(now_s=0.0)


def test_it_fits_only_when_there_is_something_new(params: LearnerParams) -> None:
    learner = Learner(params)
    assert not learner.fit()
    teach(learner)
    assert learner.fit() and not learner.fit()
    assert (learner.transitions, learner.updates, learner.episodes) == (3, params.sweeps, 1)


def test_a_killed_learner_comes_back_with_every_transition_and_the_next_version(params: LearnerParams) -> None:
    learner = Learner(params)
    teach(learner)
    learner.fit()
    learner.export()
    before = Weights.from_bytes(learner.export())
    again = Learner(params)
    assert (again.transitions, again.version, again.updates) == (3, 2, learner.updates)
    assert np.array_equal(again.critic.weights, before.critic.weights)
    teach(again)
    assert again.transitions == 3, "what was stored is not stored twice"
    assert Weights.from_bytes(again.export()).version == 3


def test_a_torn_line_at_the_end_of_the_journal_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append([credited(0), credited(1)])
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    opened = Journal(path)
    assert [c.transition.index for c in opened.read()] == [0]
    opened.append([credited(1)])
    assert path.read_bytes() == whole


def test_the_journal_keeps_every_bit(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([credited(2)])
    (kept,) = journal.read()
    for name in ("observation", "action", "next_observation"):
        assert np.array_equal(getattr(kept.transition, name), getattr(credited(2).transition, name))
    assert (kept.start, kept.end, kept.transition.key) == (credited(2).start, credited(2).end, ("a", 2))
    assert kept.transition.terminated


def test_a_full_disk_is_an_error_and_the_transitions_are_written_later(params: LearnerParams) -> None:
    learner = Learner(params)
    append = learner._journal.append

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    learner._journal.append = full  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match="No space"):
        teach(learner)
    assert learner.transitions == 0, "nothing is acknowledged that is not on the disk"
    learner._journal.append = append  # type: ignore[method-assign]
    assert learner.collect(now_s=0.0) == 3 and Learner(params).transitions == 3


def test_exploration_fades_with_the_episodes(params: LearnerParams) -> None:
    half = round(params.exploration_half_life)
    assert params.acting(0).exploration == params.exploration
    assert params.acting(half).exploration == pytest.approx(params.exploration / 2)


def test_damaged_files_are_named(params: LearnerParams) -> None:
    folder = Path(params.folder)
    Learner(params).export()
    (folder / "weights.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="weights"):
        Learner(params)
    (folder / "weights.safetensors").unlink()
    (folder / "transitions.jsonl").write_text("nonsense\n")
    with pytest.raises(BadInput, match="journal"):
        Learner(params)


def test_other_hyper_parameters_start_from_the_transitions(params: LearnerParams) -> None:
    learner = Learner(params)
    teach(learner)
    learner.fit()
    learner.export()
    other = Learner(replace(params, gain_features=24))
    assert other.stale and other.fit() and other.version == 1


def test_demonstrations_travel_through_their_file(params: LearnerParams, tmp_path: Path) -> None:
    assert demos.save(tmp_path / "demos.npz", [credited(i) for i in range(3)]) == 3
    learner = Learner(params)
    learner.add_demos(tmp_path / "demos.npz")
    assert len(learner.demos) == 3 and learner.transitions == 0 and learner.fit()
    assert learner.demos.all().done.tolist() == [0.0, 0.0, 1.0]
    (tmp_path / "demos.npz").write_bytes(b"PK")
    with pytest.raises(BadInput, match="demo transitions"):
        learner.add_demos(tmp_path / "demos.npz")


def test_privileged_truth_and_transitions_meet_in_any_order() -> None:
    rewards = PrivilegedRewards()
    assert rewards.want("a", 5) == []
    late = rewards.add_truth(5, 0.25, False)
    assert {(e, r.head, r.value) for e, r in late} == {
        ("a", RewardHead.PROGRESS, 0.25),
        ("a", RewardHead.COMPLETION, 0.0),
    }
    rewards.add_truth(6, 1.0, True)
    assert {r.value for _, r in rewards.want("a", 6)} == {1.0}
