"""kill -9 of reward node, learner and policy node during a refinement: it goes on, at most one transition is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lrm_core.ros import qos
from lrm_msgs.msg import EpisodeStatus, LearnerStatus
from policy_bench import FAKE_REWARD, LEARNER, SAFETY, SIM, STEADY_POLICY, K, PolicyBench
from ros_testing import free_domain

TASK = "put the red cube in the blue bowl"
CHUNKS = 6


class Refinement(PolicyBench):
    """A whole refinement in lock-step. Reward model and base policy are a few lines, so that a restart is quick."""

    def __init__(self, domain: int, logs: Path) -> None:
        super().__init__(domain, logs)
        self.learned: list[LearnerStatus] = self.topic(LearnerStatus, "learner_status", qos.STATUS)

    def start_node(self, name: str) -> None:
        """Start, or start again after a kill, with the same parameters."""
        common = {"lockstep": True}
        match name:
            case "sim":
                self.start(name, SIM, seed=1, **common)
            case "safety":
                self.start(name, SAFETY, **common)
            case "reward":
                self.start(name, FAKE_REWARD, state_dir=self.logs / "reward", camera_noise=False, **common)
            case "learner":
                # The one reward that a kill may lose is given up within the waits of these tests.
                self.start(name, LEARNER, folder=self.logs / "learner", call_interval=K, reward_deadline_s=20.0)
            case "policy":
                self.start(
                    name, STEADY_POLICY, call_interval=K, max_steps=CHUNKS * K, success_confirmations=0,
                    learner_sync_timeout_s=60.0, **common,
                )  # fmt: skip

    def refine(self, episodes: int) -> object:
        handle = self.send(episodes=episodes, seed=10, task=TASK)
        assert handle.accepted
        return handle

    def in_an_episode(self) -> None:
        """Wait until the second chunk of an episode that begins now is under way."""
        before = len(self.transitions)
        self.until(lambda: len(self.transitions) > before, 60.0, "a transition")

    def all_learned(self) -> LearnerStatus:
        """What the learner says once everything that was published has been joined or dropped."""
        last = [s.episode_id for s in self.episodes if s.state == EpisodeStatus.ENDED][-1]
        done = lambda: self.learned and self.learned[-1].last_episode_id == last and not self.learned[-1].pending  # noqa: E731
        self.until(done, 60.0, "the learner has everything")
        return self.learned[-1]

    def published(self) -> int:
        return len({(t.episode_id, t.index) for t in self.transitions})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refinement]:
    with free_domain() as domain, Refinement(domain, tmp_path_factory.mktemp("refinement")) as run:
        try:
            for name in ("sim", "safety", "reward", "learner", "policy"):
                run.start_node(name)
            run.ready("sim", "safety", "reward", "policy")
            run.until(lambda: run.learned, 90.0, "the learner is up")
            yield run
        finally:
            run.close()


def test_reward_node(run: Refinement) -> None:
    handle = run.refine(2)
    run.in_an_episode()
    run.kill("reward")
    run.until(lambda: "reward" in run.refinement[-1].waiting_for, 20.0, "the policy node says what it waits for")
    standing, stepped = len(run.transitions), run.episodes[-1].step
    run.run_for(1.0)
    assert (len(run.transitions), run.episodes[-1].step) == (standing, stepped), "nothing moves without rewards"
    run.start_node("reward")
    result = run.result(handle, 150.0)
    assert (result.termination_reason, result.message) == ("completed", ""), run.processes["reward"].output
    assert run.published() == 2 * CHUNKS
    learned = run.all_learned()
    assert learned.dropped_unknown <= 1, run.processes["reward"].output
    assert learned.transitions >= run.published() - 1


def test_learner(run: Refinement) -> None:
    before, version = run.published(), run.episodes[-1].weights_version
    handle = run.refine(2)
    run.in_an_episode()
    run.kill("learner")
    run.in_an_episode()
    run.start_node("learner")
    result = run.result(handle, 120.0)
    assert (result.termination_reason, result.episodes_done) == ("completed", 2)
    assert run.published() == before + 2 * CHUNKS
    learned = run.all_learned()
    assert learned.transitions >= run.published() - 2, "one may be lost per kill so far"
    assert learned.weights_version >= version, "the version goes on after a restart"


def test_policy_node(run: Refinement) -> None:
    run.refine(3)
    run.in_an_episode()
    shown = len(run.episodes)
    cut_short = run.episodes[-1].episode_id
    run.kill("policy")
    run.start_node("policy")
    idle = lambda: any(s.state == EpisodeStatus.IDLE for s in run.episodes[shown:])  # noqa: E731
    run.until(idle, 90.0, "the policy node is back, idle")
    run.ready("policy")
    result = run.result(run.refine(1), 120.0)
    assert (result.termination_reason, result.episodes_done) == ("completed", 1)
    assert run.episodes[-1].weights_version > 0, "weights come latched"
    learned = run.all_learned()
    lost = [t for t in run.transitions if t.episode_id == cut_short]
    assert learned.transitions + learned.dropped_unknown >= run.published() - 3
    assert all(not t.truncated for t in lost)
