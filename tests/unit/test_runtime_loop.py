"""Whole episodes and runs in a world of a few lines: what is commanded, published and said, and how everything ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from lrm_core.episode_machine import EpisodeMachine
from lrm_core.episodes import EpisodeState, TerminationReason
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_core.robot import load_robot
from lrm_core.transitions import Transition
from lrm_policy_node.kinematics import ResidualKinematics
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.decisions import ChunkPlanner
from lrm_policy_node.runtime.loop import EpisodeLoop
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.rewards import FrameScores
from lrm_policy_node.runtime.run import Run, RunEnd, RunOrder
from lrm_policy_node.runtime.world import EpisodeCut, EpisodeOrder, RunProgress

ROBOT = load_robot("sim_arm")
KINEMATICS = ResidualKinematics(ROBOT.model_path, ROBOT.tcp_site, ROBOT.arm_names)
HOME = np.array([0.0, -0.2, 1.7, 1.6, 0.0, 0.05], dtype=np.float32)
PERIOD_NS = 100_000_000
K = 4
PARAMS = PolicyParams(call_interval=K, max_steps=12, lockstep=True)
IMAGES = {"top": np.zeros((2, 2, 3), np.uint8)}


class SteadyPolicy:
    """Plans one step of 0.01 rad after the other; ``chunk_steps`` as an ACT policy has them."""

    chunk_steps = 6
    cameras: tuple[str, ...] = ("top",)
    observation_steps = 1

    def reset(self, task: str, seed: int) -> None:
        pass

    def chunk(self, observation: dict[str, np.ndarray], earlier: Sequence[object] = ()) -> np.ndarray:
        steps = np.arange(1, self.chunk_steps + 1)[:, None] * np.array([0.01, 0, 0, 0, 0, 0])
        return (observation["state"] + steps).astype(np.float32)


class FakeWorld:
    """An arm that is where it was told to be, one period later; scores come from ``completion(step)``."""

    def __init__(self, completion: Callable[[int], float] = lambda step: 0.0) -> None:
        self.completion = completion
        self.now_ns, self.start_ns = 50 * PERIOD_NS, 0
        self.joints = HOME
        self.commands: list[tuple[int, np.ndarray]] = []
        self.transitions: list[Transition] = []
        self.shown: list[tuple[EpisodeState, TerminationReason | None, int]] = []
        self.progress: list[RunProgress] = []
        self.synced: list[str] = []
        self.events: list[str] = []
        self.cut_at: dict[str, EpisodeCut] = {}
        self.lag_periods: dict[int, int] = {}
        self.held_once = False
        self.delays_ns: list[int] = []

    def _event(self, name: str) -> None:
        self.events.append(name)
        cut = self.cut_at.get(f"{name} {self.events.count(name)}")
        if cut is not None:
            raise cut

    def reset(self, seed: int, task: str) -> tuple[int, str]:
        self._event("reset")
        self.now_ns += 3 * PERIOD_NS
        self.start_ns, self.joints = self.now_ns, HOME
        return self.now_ns, task

    def observe(self, after_ns: int) -> Observation:
        self._event("observe")
        if after_ns >= self.now_ns:
            self.now_ns += PERIOD_NS * self.lag_periods.get(len(self.commands), 1)
        return Observation(self.now_ns, IMAGES, self.joints)

    def newest(self) -> Observation | None:
        return Observation(self.now_ns, IMAGES, self.joints)

    def command(self, positions: np.ndarray, stamp_ns: int) -> None:
        self.commands.append((stamp_ns, positions))
        self.joints = np.asarray(positions, dtype=np.float32)

    def planned(self, stamp_ns: int) -> None:
        self.delays_ns.append(self.now_ns - stamp_ns)

    def held(self) -> bool:
        held, self.held_once = self.held_once, False
        return held

    def hold(self) -> None:
        self.events.append("hold")

    def await_reward_node(self) -> None:
        self._event("reward node")

    def await_reward(self, episode_id: str, stamp_ns: int) -> FrameScores | None:
        self._event("reward")
        step = round((stamp_ns - self.start_ns) / PERIOD_NS)
        value = self.completion(step)
        if math.isnan(value):
            return None
        return FrameScores(stamp_ns, {RewardHead.PROGRESS: value, RewardHead.COMPLETION: value})

    def adopt_weights(self, residual: ResidualPolicy) -> None:
        self.events.append("weights")

    def await_learner(self, episode_id: str) -> None:
        self._event("learner")
        self.synced.append(episode_id)

    def publish(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def show(self, machine: EpisodeMachine, order: EpisodeOrder, weights_version: int) -> None:
        self.shown.append((machine.state, machine.reason, machine.steps))

    def show_run(self, progress: RunProgress) -> None:
        self.progress.append(progress)


def make(world: FakeWorld, params: PolicyParams = PARAMS, policy: SteadyPolicy | None = None) -> Run:
    planner = ChunkPlanner(
        policy or SteadyPolicy(), ResidualPolicy(), KINEMATICS, params.call_interval, params.max_steps
    )
    return Run(params, world, EpisodeLoop(params, world, planner))


def order(episodes: int = 1, refine: bool = True, task: str = "put it there", seed: int = 7) -> RunOrder:
    return RunOrder("run", refine, episodes, seed, task)


def test_an_episode_runs_in_chunks_and_every_command_answers_one_observation() -> None:
    world = FakeWorld()
    result = make(world).execute(order(refine=False))
    outcome = result.outcomes[0]
    assert result.end is RunEnd.COMPLETED
    assert (outcome.reason, outcome.steps) == (TerminationReason.MAX_STEPS, 12)
    assert [stamp for stamp, _ in world.commands] == [world.start_ns + i * PERIOD_NS for i in range(12)]
    assert world.commands[-1][1][0] == pytest.approx(0.12, abs=1e-6)


def test_transitions_join_end_to_end_and_only_the_last_is_truncated() -> None:
    world = FakeWorld()
    make(world).execute(order())
    assert [t.index for t in world.transitions] == [0, 1, 2]
    assert [t.truncated for t in world.transitions] == [False, False, True]
    assert not any(t.terminated for t in world.transitions)
    for index, t in enumerate(world.transitions):
        assert t.start_stamp_ns == world.start_ns + index * K * PERIOD_NS
        assert t.end_stamp_ns == t.start_stamp_ns + K * PERIOD_NS
    for before, after in zip(world.transitions, world.transitions[1:], strict=False):
        assert np.array_equal(before.next_observation, after.observation)


def test_evaluation_publishes_no_transition_and_does_not_wait_for_the_learner() -> None:
    world = FakeWorld()
    result = make(world).execute(order(refine=False))
    assert result.end is RunEnd.COMPLETED
    assert world.transitions == []
    assert world.synced == []


def test_the_states_are_shown_in_order_with_the_reason_at_the_end() -> None:
    world = FakeWorld()
    make(world).execute(order())
    states = [state.value for state, _, _ in world.shown]
    assert states == ["resetting", "running", "running", "running", "ending", "ended"]
    assert [reason for _, reason, _ in world.shown[-2:]] == [TerminationReason.MAX_STEPS] * 2


def test_success_in_two_queries_in_a_row_ends_the_episode_as_terminated() -> None:
    world = FakeWorld(lambda step: 0.9 if step in (0, 8, 12) else 0.1)
    result = make(world, replace(PARAMS, max_steps=40)).execute(order())
    outcome = result.outcomes[0]
    assert outcome.reason is TerminationReason.SUCCESS_CONFIRMED
    assert outcome.steps == 12
    assert [t.terminated for t in world.transitions] == [False, False, True]


def test_in_real_time_success_is_confirmed_a_chunk_later_because_the_arm_does_not_wait() -> None:
    world = FakeWorld(lambda step: 0.9 if step in (0, 8, 12) else 0.1)
    result = make(world, replace(PARAMS, max_steps=40, lockstep=False)).execute(order())
    assert result.outcomes[0].reason is TerminationReason.SUCCESS_CONFIRMED
    assert result.outcomes[0].steps == 16


def test_an_episode_that_looks_done_from_its_start_is_no_success() -> None:
    world = FakeWorld(lambda step: 0.9)
    result = make(world, PARAMS).execute(order())
    assert result.outcomes[0].reason is TerminationReason.MAX_STEPS
    assert not any(t.terminated for t in world.transitions)


def test_confirmations_of_zero_never_end_early() -> None:
    world = FakeWorld(lambda step: float(step > 0))
    result = make(world, replace(PARAMS, success_confirmations=0)).execute(order())
    assert result.outcomes[0].reason is TerminationReason.MAX_STEPS


def test_a_lost_reward_does_not_stop_the_loop_and_is_no_success() -> None:
    world = FakeWorld(lambda step: math.nan if step == 8 else 0.9 if step else 0.1)
    result = make(world, replace(PARAMS, max_steps=20)).execute(order())
    outcome = result.outcomes[0]
    assert outcome.reason is TerminationReason.SUCCESS_CONFIRMED
    assert outcome.steps == 16
    assert list(outcome.scores.values())[2] is None


@pytest.mark.parametrize(
    ("lockstep", "chunk"), [(True, ["reward"] + ["observe"] * K), (False, ["observe"] * K + ["reward"])]
)
def test_at_most_one_reward_query_is_outstanding(lockstep: bool, chunk: list[str]) -> None:
    world = FakeWorld()
    make(world, replace(PARAMS, lockstep=lockstep)).execute(order())
    moves = [event for event in world.events if event in ("observe", "reward")]
    asked_at_the_end = 2 if lockstep else 1  # the last frame is a regular query as well
    assert moves == ["observe"] + chunk * 3 + ["reward"] * asked_at_the_end


@pytest.mark.parametrize(
    ("when", "reason", "end"),
    [
        ("observe 6", TerminationReason.CAMERA_LOST, RunEnd.ABORTED),
        ("observe 6", TerminationReason.JOINT_STATES_INVALID, RunEnd.ABORTED),
        ("observe 6", TerminationReason.CLOCK_JUMPED, RunEnd.ABORTED),
        ("observe 6", TerminationReason.CANCELLED, RunEnd.CANCELLED),
        ("reward 1", TerminationReason.REWARD_LOST, RunEnd.ABORTED),
        ("reward node 1", TerminationReason.REWARD_LOST, RunEnd.ABORTED),
        ("reset 1", TerminationReason.RESET_FAILED, RunEnd.ABORTED),
    ],
)
def test_a_cut_holds_the_arm_names_its_reason_and_ends_the_run(
    when: str, reason: TerminationReason, end: RunEnd
) -> None:
    world = FakeWorld()
    world.cut_at[when] = EpisodeCut(reason, "the cause")
    result = make(world).execute(order(episodes=3))
    assert (result.end, len(result.outcomes)) == (end, 1)
    assert "the cause" in result.message
    assert reason.value in result.message
    assert world.events[-1] == "hold"
    assert world.shown[-1][:2] == (EpisodeState.ENDED, reason)
    assert all(not t.done for t in world.transitions)


def test_the_next_run_after_a_cut_works() -> None:
    world = FakeWorld()
    world.cut_at["observe 6"] = EpisodeCut(TerminationReason.CAMERA_LOST, "gone")
    run = make(world)
    run.execute(order())
    world.cut_at.clear()
    result = run.execute(RunOrder("again", True, 2, 7, "put it there"))
    assert result.end is RunEnd.COMPLETED
    assert [o.order.episode_id for o in result.outcomes] == ["again-0000", "again-0001"]


def test_cancel_while_waiting_for_the_learner_ends_the_run_after_a_whole_episode() -> None:
    world = FakeWorld()
    world.cut_at["learner 1"] = EpisodeCut(TerminationReason.CANCELLED, "cancelled")
    result = make(world).execute(order(episodes=3))
    assert result.end is RunEnd.CANCELLED
    assert [o.reason for o in result.outcomes] == [TerminationReason.MAX_STEPS]


class RememberingPolicy(SteadyPolicy):
    """Plans from three observations; keeps what it was told."""

    observation_steps = 3

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.asked: list[list[float]] = []

    def reset(self, task: str, seed: int) -> None:
        self.told.append((task, seed))
        self.asked.clear()

    def chunk(self, observation: dict[str, np.ndarray], earlier: Sequence[object] = ()) -> np.ndarray:
        seen: list[dict[str, np.ndarray]] = [*earlier, observation]  # type: ignore[list-item]
        self.asked.append([round(float(one["state"][0]), 4) for one in seen])
        return super().chunk(observation)


def test_a_policy_is_told_task_and_seed_and_plans_from_the_steps_before() -> None:
    world, policy = FakeWorld(), RememberingPolicy()
    planner = ChunkPlanner(policy, ResidualPolicy(), None, K, PARAMS.max_steps)
    run = Run(PARAMS, world, EpisodeLoop(PARAMS, world, planner))
    run.execute(RunOrder("run", False, 2, 7, "put it there"))
    assert policy.told[-2:] == [("put it there", 7), ("put it there", 8)]
    assert policy.asked[0] == [0.0], "nothing of the episode before"
    assert policy.asked[1] == [0.02, 0.03, 0.04], "one control step apart, oldest first"


class BrokenPolicy(SteadyPolicy):
    def __init__(self, chunk: Callable[[np.ndarray], np.ndarray]) -> None:
        self._chunk = chunk

    def chunk(self, observation: dict[str, np.ndarray], earlier: Sequence[object] = ()) -> np.ndarray:
        return self._chunk(super().chunk(observation, earlier))


def _raise(_: np.ndarray) -> np.ndarray:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("broken", "word"), [(lambda chunk: chunk * math.nan, "not finite"), (_raise, "RuntimeError: out of memory")]
)
def test_a_policy_that_fails_moves_nothing_and_is_named(broken: Callable[[np.ndarray], np.ndarray], word: str) -> None:
    world = FakeWorld()
    result = make(world, policy=BrokenPolicy(broken)).execute(order())
    assert result.outcomes[0].reason is TerminationReason.POLICY_ERROR
    assert word in result.message
    assert world.commands == []


def test_a_policy_with_chunks_shorter_than_the_call_interval_is_refused() -> None:
    with pytest.raises(BadInput, match="call_interval"):
        make(FakeWorld(), replace(PARAMS, call_interval=7))


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (order(episodes=0), "episodes"),
        (order(task="two\nlines"), "one line"),
        (order(task="   "), "a sentence"),
        (order(seed=-5), "first_seed"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_before_anything_moves(bad: RunOrder, word: str) -> None:
    world = FakeWorld()
    result = make(world).execute(bad)
    assert result.end is RunEnd.ABORTED
    assert word in result.message
    assert world.events == []


def test_refinement_without_rewards_is_refused_and_evaluation_asks_for_none() -> None:
    params = replace(PARAMS, use_reward=False)
    world = FakeWorld(lambda step: 1.0)
    assert "use_reward" in make(world, params).execute(order()).message
    result = make(world, params).execute(order(refine=False))
    assert result.end is RunEnd.COMPLETED
    assert "reward" not in world.events
    assert math.isnan(result.outcomes[0].completion)


def test_without_any_task_the_run_is_aborted() -> None:
    result = make(FakeWorld()).execute(order(task=""))
    assert "no task sentence" in result.message


def test_a_run_reports_success_rate_and_return_from_the_rewards_alone() -> None:
    world = FakeWorld(lambda step: step / 12)
    make(world).execute(order(episodes=2))
    assert [(p.done, p.total) for p in world.progress] == [(0, 2), (1, 2), (2, 2)]
    assert math.isnan(world.progress[0].success_rate)
    assert world.progress[-1].success_rate == 1.0
    assert world.progress[-1].mean_return > 1.0
    assert len(world.synced) == 2


def test_seeds_count_up_and_minus_one_stays() -> None:
    for first, expected in ((7, [7, 8]), (-1, [-1, -1])):
        result = make(FakeWorld()).execute(order(episodes=2, seed=first))
        assert [o.order.seed for o in result.outcomes] == expected


def test_in_real_time_missed_steps_are_skipped_and_chunks_stay_on_the_grid() -> None:
    world = FakeWorld()
    world.lag_periods = {2: 2, 7: 5}
    result = make(world, replace(PARAMS, lockstep=False)).execute(order())
    starts = [(t.start_stamp_ns - world.start_ns) / PERIOD_NS for t in world.transitions]
    assert starts[0] == 0
    assert all(start % K == 0 for start in starts)
    assert result.outcomes[0].steps == 12
    assert len(world.commands) == 12 - 1 - 4
