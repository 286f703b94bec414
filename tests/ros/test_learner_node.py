"""The real learner process on real DDS: it joins, learns, hands over, and survives kill -9."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lrm_core.ros import qos, stamps
from lrm_msgs.msg import EpisodeStatus, LearnerStatus, PolicyWeights, Reward, SimAudit, Transition
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.rl.features import ACTIONS, FEATURES
from policy_bench import LEARNER, Watcher, start
from ros_testing import NodeProcess, free_domain

STEP_NS = 1_000_000_000


class Bench(Watcher):
    """Plays policy node, reward node and simulator around the learner."""

    def __init__(self, domain: int, folder: Path) -> None:
        super().__init__(domain)
        self.domain, self.folder = domain, folder
        self.transitions = self.node.create_publisher(Transition, "transition", qos.TRANSITION)
        self.rewards = {
            head: self.node.create_publisher(Reward, f"reward/{head}", qos.REWARD)
            for head in ("progress", "completion")
        }
        self.episodes = self.node.create_publisher(EpisodeStatus, "episode_status", qos.STATUS)
        self.audit = self.node.create_publisher(SimAudit, "audit", qos.AUDIT)
        self.statuses: list[LearnerStatus] = self.topic(LearnerStatus, "learner_status", qos.STATUS)
        self.weights: list[PolicyWeights] = self.topic(PolicyWeights, "policy_weights", qos.STATUS)
        self.process: NodeProcess | None = None

    def launch(self, **parameters: object) -> None:
        before = len(self.weights)
        self.process = start(LEARNER, self.folder / "log", self.domain, folder=self.folder / "state", **parameters)
        self.until(lambda: len(self.weights) > before or self.process.exit_code is not None, 30.0, "the first weights")
        assert self.process.exit_code is None, self.process.output

    def play(self, episode: str, start_s: int, unknown: int = -1, rewards: bool = True, done: bool = True) -> None:
        """Three decisions of one second; frame ``unknown`` is scored UNKNOWN."""
        rng = np.random.default_rng(start_s)
        for index in range(3):
            message = Transition(
                episode_id=episode,
                index=index,
                start_stamp=stamps.from_ns((start_s + index) * STEP_NS),
                end_stamp=stamps.from_ns((start_s + index + 1) * STEP_NS),
                observation=rng.normal(size=FEATURES).tolist(),
                action=rng.uniform(-1, 1, ACTIONS).tolist(),
                next_observation=rng.normal(size=FEATURES).tolist(),
                truncated=done and index == 2,
            )
            self.transitions.publish(message)
        for frame in range(4 if rewards else 0):
            self.score(episode, start_s + frame, frame == unknown)

    def score(self, episode: str, stamp_s: int, unknown: bool = False) -> None:
        for head, publisher in self.rewards.items():
            status = Reward.UNPARSABLE if unknown else Reward.OK
            message = Reward(episode_id=episode, head=head, value=float("nan") if unknown else 0.5, status=status)
            message.header.stamp = stamps.from_ns(stamp_s * STEP_NS)
            publisher.publish(message)

    def learned(self, episode: str) -> LearnerStatus:
        """The status that says so."""
        self.until(
            lambda: self.statuses and self.statuses[-1].last_episode_id == episode, 30.0, f"{episode} is learned"
        )
        return self.statuses[-1]


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with free_domain() as domain, Bench(domain, folder) as made:
        try:
            yield made
        finally:
            if made.process is not None:
                made.process.stop()


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_an_episode_with_rewards_gives_newer_weights_that_load(learner: Bench) -> None:
    learner.launch()
    first = learner.weights[-1]
    learner.play("a", 100)
    status = learner.learned("a")
    assert (status.transitions, status.dropped_unknown, status.pending) == (3, 0, 0)
    assert status.updates > 0 and np.isfinite(status.critic_loss)
    learner.until(lambda: learner.weights[-1].version == status.weights_version, 10.0, "its weights")
    newest = learner.weights[-1]
    assert newest.version == first.version + 1
    assert hashlib.sha256(bytes(newest.data)).hexdigest() == newest.sha256
    assert ResidualPolicy.from_bytes(bytes(newest.data)).version == newest.version


def test_an_unknown_reward_drops_the_two_transitions_at_that_frame(learner: Bench) -> None:
    learner.launch()
    learner.play("a", 100, unknown=1)
    status = learner.learned("a")
    assert (status.transitions, status.dropped_unknown) == (1, 2)


def test_a_reward_that_never_comes_drops_the_transition_after_the_deadline(learner: Bench) -> None:
    learner.launch(reward_deadline_s=1.0)
    learner.play("a", 100, rewards=False)
    status = learner.learned("a")
    assert (status.transitions, status.dropped_unknown) == (0, 3)


def test_an_episode_that_was_cut_is_learned_without_a_last_transition(learner: Bench) -> None:
    learner.launch()
    learner.play("a", 100, done=False)
    message = EpisodeStatus(
        episode_id="a", state=EpisodeStatus.ENDED, mode=EpisodeStatus.REFINE, termination_reason="camera_lost"
    )
    learner.episodes.publish(message)
    assert learner.learned("a").transitions == 3


def test_after_kill_9_nothing_acknowledged_is_lost_and_the_version_goes_on(learner: Bench) -> None:
    learner.launch()
    learner.play("a", 100)
    before = learner.learned("a")
    learner.process.kill()
    learner.play("b", 200)
    learner.launch()
    after = learner.learned("b")
    assert after.transitions == before.transitions + 3, "stored once although delivered twice"
    assert after.weights_version > before.weights_version
    assert after.updates > before.updates


def test_a_transition_of_another_layout_is_refused_and_the_rest_is_learned(learner: Bench) -> None:
    learner.launch()
    stamp = stamps.from_ns(STEP_NS)
    learner.transitions.publish(Transition(episode_id="z", end_stamp=stamp, observation=[0.0], next_observation=[0.0]))
    learner.play("a", 100)
    assert learner.learned("a").transitions == 3
    learner.process.wait_for_output("transition observation, action is (1, 0)")


def test_privileged_rewards_are_used_only_when_asked_for_and_say_so(learner: Bench) -> None:
    learner.launch(reward_source="privileged")
    learner.until(learner.audit.get_subscription_count, 10.0, "the learner listens to the audit")
    learner.play("a", 100, rewards=False)
    for frame in range(4):
        message = SimAudit(success=frame == 3, progress=frame / 3)
        message.header.stamp = stamps.from_ns((100 + frame) * STEP_NS)
        learner.audit.publish(message)
    assert learner.learned("a").transitions == 3
    assert "PRIVILEGED" in learner.process.output


def test_a_journal_that_is_not_one_stops_the_node_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "transitions.jsonl").write_text("{}\n{}\n")
    with free_domain() as domain:
        process = start(LEARNER, tmp_path / "log", domain, folder=tmp_path / "state")
        try:
            assert process.wait(30.0) == 1
            assert "one transition per line" in process.output
        finally:
            process.stop()
