"""The real policy node with the simulator, the safety stage and the reward node, each in a process of its own."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator

import pytest
from lifecycle_msgs.msg import Transition as LifecycleTransition
from lifecycle_msgs.srv import ChangeState

from lrm_core.ros import stamps
from lrm_msgs.action import RunEpisodes
from lrm_msgs.msg import EpisodeStatus, LearnerStatus, PolicyWeights
from lrm_policy_node.ros.node import PolicyNode
from policy_bench import FAKE_REWARD, SAFETY, SIM, STEADY_POLICY, K, PolicyBench, SteadyPolicy, policy_bench
from ros_testing import default_context, free_domain

TASK = "put the red cube in the blue bowl"
POLICY = {
    "lockstep": True,
    "call_interval": K,
    "max_steps": 3 * K,
    "success_confirmations": 0,
    "reset_timeout_s": 5.0,
    "camera_timeout_s": 3.0,
    "learner_sync_timeout_s": 20.0,
}
WHOLE = [EpisodeStatus.RESETTING, EpisodeStatus.RUNNING, EpisodeStatus.ENDING, EpisodeStatus.ENDED]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyBench]:
    """One running graph for all tests of this file."""
    logs = tmp_path_factory.mktemp("graph")
    with free_domain() as domain, policy_bench(domain, logs) as bench:
        bench.start("sim", SIM, lockstep=True, seed=1)
        bench.start("safety", SAFETY, lockstep=True)
        bench.start("reward", FAKE_REWARD, lockstep=True, camera_noise=False, state_dir=logs / "state")
        bench.start("policy", STEADY_POLICY, **POLICY)
        bench.ready("sim", "safety", "reward", "policy")
        yield bench


@pytest.mark.usefixtures("ros_domain_id")
def test_the_node_says_in_a_parameter_which_weights_it_loaded() -> None:
    loaded = SteadyPolicy()
    with default_context():
        node = PolicyNode(lambda name, device, features: loaded)
        said = []
        for loaded.fingerprint in ("f00d", "cafe"):  # type: ignore[attr-defined]
            assert node.start(), node.failure
            said.append(node.get_parameter("policy_fingerprint").value)
            node.trigger_deactivate()
            node.trigger_cleanup()
        node.destroy_node()
    assert said == ["f00d", "cafe"]


def play_learner(bench: PolicyBench) -> None:
    """Say of every ended episode that it was trained on, as the learner does."""
    ended = [s.episode_id for s in bench.episodes if s.state == EpisodeStatus.ENDED]
    if ended:
        bench.learner.publish(LearnerStatus(last_episode_id=ended[-1]))


def test_two_refined_episodes_run_to_the_end_and_hand_over_their_transitions(bench: PolicyBench) -> None:
    timer = bench.node.create_timer(0.1, lambda: play_learner(bench))
    before = len(bench.transitions)
    handle = bench.send(episodes=2, seed=5, task=TASK)
    assert handle.accepted
    result = bench.result(handle)
    bench.node.destroy_timer(timer)
    assert (result.termination_reason, result.episodes_done, result.message) == ("completed", 2, "")
    assert all(0.0 <= score <= 1.0 for score in result.predicted_success)
    for episode_id in result.episode_ids:
        shown = bench.states(episode_id)
        assert shown[-1] == EpisodeStatus.ENDED
        assert shown == [state for state in WHOLE if state in shown], "in order; depth 1 may drop one in between"
        transitions = [t for t in bench.transitions[before:] if t.episode_id == episode_id]
        assert [t.index for t in transitions] == [0, 1, 2]
        assert [t.truncated for t in transitions] == [False, False, True]
        spans = [stamps.to_ns(t.end_stamp) - stamps.to_ns(t.start_stamp) for t in transitions]
        assert spans == [K * 100_000_000] * 3
    ended = [s for s in bench.episodes if s.state == EpisodeStatus.ENDED][-1]
    assert (ended.task, ended.seed, ended.step, ended.termination_reason) == (TASK, 6, 3 * K, "max_steps")
    bench.until(lambda: bench.refinement[-1].episodes_done == 2)
    assert bench.refinement[-1].mean_return == bench.refinement[-1].mean_return, "a number, from the rewards"
    assert bench.feedback[-1].episode_id in result.episode_ids


def test_the_arm_really_moved_and_the_safety_stage_passed_the_commands(bench: PolicyBench) -> None:
    before = bench.safety[-1].passed
    bench.result(bench.send(mode=RunEpisodes.Goal.EVALUATE, task=TASK))
    bench.until(lambda: bench.safety[-1].passed + bench.safety[-1].limited - before >= 3 * K, 20.0)
    assert bench.safety[-1].rejected == 0


def test_cancel_ends_the_episode_at_a_control_step_and_delivers_the_result(bench: PolicyBench) -> None:
    shown = len(bench.episodes)
    handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=50, task=TASK)
    bench.until(lambda: any(s.state == EpisodeStatus.RUNNING for s in bench.episodes[shown:]), 10.0)
    bench.result_of(handle.cancel_goal_async())
    result = bench.result(handle, 20.0)
    assert result.termination_reason == "cancelled"
    bench.until(lambda: bench.episodes[-1].state == EpisodeStatus.ENDED, 20.0)
    assert bench.episodes[-1].termination_reason in ("cancelled", "max_steps")
    bench.until(lambda: "no command" in bench.safety[-1].reason, 20.0, "the safety stage says that it holds")
    commands = bench.safety[-1].passed
    bench.run_for(1.2)
    assert bench.safety[-1].passed == commands, "no command after the cancel"


def test_a_second_goal_is_rejected_while_a_run_goes_on(bench: PolicyBench) -> None:
    first = bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=50, task=TASK)
    assert not bench.send(mode=RunEpisodes.Goal.EVALUATE).accepted
    bench.result_of(first.cancel_goal_async())
    assert bench.result(first, 20.0).termination_reason == "cancelled"


@pytest.mark.parametrize(
    ("task", "word"),
    [("", "a sentence"), ("  \t", "a sentence"), ("put it\nthere", "one line"), ("put\x07it", "one line")],
)
def test_a_task_with_no_text_or_several_lines_is_refused(bench: PolicyBench, task: str, word: str) -> None:
    response = bench.set_task(task)
    assert not response.accepted
    assert word in response.message


def test_a_new_task_takes_effect_at_the_next_episode(bench: PolicyBench) -> None:
    assert bench.set_task("put the green cylinder in the white box").accepted
    result = bench.result(bench.send(mode=RunEpisodes.Goal.EVALUATE))
    statuses = [s for s in bench.episodes if s.episode_id == result.episode_ids[0]]
    assert statuses[-1].task == "put the green cylinder in the white box"


def test_a_task_the_scene_does_not_know_aborts_with_the_robots_reason(bench: PolicyBench) -> None:
    result = bench.result(bench.send(mode=RunEpisodes.Goal.EVALUATE, task="fold the blue towel"))
    assert result.termination_reason == "aborted"
    assert "reset_failed" in result.message
    assert "fold the blue towel" in result.message


def test_no_episodes_is_refused_with_the_reason(bench: PolicyBench) -> None:
    result = bench.result(bench.send(episodes=0))
    assert result.termination_reason == "aborted"
    assert "at least 1" in result.message


def test_weights_with_a_wrong_hash_or_shape_are_refused_and_the_old_ones_stay(bench: PolicyBench) -> None:
    process = bench.processes["policy"]
    bench.until(lambda: bench.weights.get_subscription_count(), 20.0)
    bench.weights.publish(PolicyWeights(version=7, data=b"nonsense", sha256="0" * 64))
    bench.until(lambda: "policy weights sha256" in process.output, 20.0)
    bench.weights.publish(PolicyWeights(version=8, data=b"nonsense", sha256=hashlib.sha256(b"nonsense").hexdigest()))
    bench.until(lambda: process.output.count("[ERROR]") >= 2, 20.0)
    result = bench.result(bench.send(mode=RunEpisodes.Goal.EVALUATE, task=TASK))
    assert result.termination_reason == "completed"
    statuses = [s for s in bench.episodes if s.episode_id == result.episode_ids[0]]
    assert {s.weights_version for s in statuses} == {0}


def change_state(bench: PolicyBench, transition: int) -> None:
    client = bench.node.create_client(ChangeState, "policy/change_state")
    bench.until(client.service_is_ready, 20.0)
    request = ChangeState.Request(transition=LifecycleTransition(id=transition))
    assert bench.result_of(client.call_async(request), 10.0).success


def test_a_node_deactivated_during_a_run_ends_it_and_works_again_when_activated(bench: PolicyBench) -> None:
    handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=50, task=TASK)
    bench.until(lambda: bench.episodes[-1].state == EpisodeStatus.RUNNING, 10.0)
    change_state(bench, LifecycleTransition.TRANSITION_DEACTIVATE)
    result = bench.result(handle, 20.0)
    assert result.termination_reason == "aborted"
    assert "deactivated" in result.message
    assert not bench.send(mode=RunEpisodes.Goal.EVALUATE).accepted
    change_state(bench, LifecycleTransition.TRANSITION_ACTIVATE)
    assert bench.result(bench.send(mode=RunEpisodes.Goal.EVALUATE, task=TASK)).termination_reason == "completed"


def test_ctrl_c_during_a_run_ends_the_process_cleanly(bench: PolicyBench) -> None:
    bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=50, task=TASK)
    bench.until(lambda: bench.episodes[-1].state == EpisodeStatus.RUNNING, 10.0)
    process = bench.processes["policy"]
    process.send(signal.SIGINT)
    assert process.wait(10.0) == 0
    assert "Traceback" not in process.output
    bench.until(lambda: bench.episodes[-1].termination_reason == "shutdown", 20.0)
    bench.until(lambda: not bench.action.server_is_ready(), 30.0, "the node has left the graph")


def test_a_robot_that_dies_ends_the_run_with_the_stream_that_stopped(bench: PolicyBench) -> None:
    bench.start("policy", STEADY_POLICY, **POLICY)
    bench.ready("policy")
    handle = bench.send(mode=RunEpisodes.Goal.EVALUATE, episodes=50, task=TASK)
    bench.until(lambda: bench.episodes[-1].state == EpisodeStatus.RUNNING, 10.0)
    bench.kill("sim")
    result = bench.result(handle, 20.0)
    assert result.termination_reason == "aborted"
    assert "nothing new for 3.0 s" in result.message or "No robot offers" in result.message
    assert not any(t.truncated for t in bench.transitions if t.episode_id == bench.episodes[-1].episode_id)
