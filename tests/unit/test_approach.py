"""The first motion is slow, and only then does the episode begin; what does not arrive is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.approach import Approach
from lrm_policy_node.runtime.decisions import ChunkPlanner
from lrm_policy_node.runtime.loop import EpisodeLoop
from lrm_policy_node.runtime.run import Run, RunEnd
from lrm_policy_node.runtime.world import EpisodeCut
from test_runtime_loop import HOME, KINEMATICS, PARAMS, PERIOD_NS, ROBOT, FakeWorld, SteadyPolicy, order

REAL = replace(PARAMS, lockstep=False)
RATE_HZ, SHARE = 10.0, 0.2
STEP = SHARE * ROBOT.limits.velocity_max / RATE_HZ
AWAY = np.array([0.6, 0.3, 1.2, 1.0, -0.5, 0.02])


class FarPolicy(SteadyPolicy):
    """Wants to start at AWAY, wherever the arm is, and goes on from there."""

    def chunk(self, observation: dict[str, np.ndarray], earlier: Sequence[object] = ()) -> np.ndarray:
        at = observation["state"]
        first = AWAY if np.abs(at - AWAY)[:5].max() > 0.05 else at
        return np.tile(first, (self.chunk_steps, 1)).astype(np.float32)


def approach(world: FakeWorld) -> Approach:
    return Approach(world.command, world.observe, ROBOT.limits, ROBOT.arm_joints, RATE_HZ, SHARE)


def run(world: FakeWorld, policy: SteadyPolicy) -> Run:
    planner = ChunkPlanner(policy, ResidualPolicy(), KINEMATICS, REAL.call_interval, REAL.max_steps)
    return Run(REAL, world, EpisodeLoop(REAL, world, planner, approach(world)))


def steps_of(world: FakeWorld, start: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(np.vstack([start, *(positions for _, positions in world.commands)]), axis=0))


def test_the_arm_is_led_to_the_policys_start_before_the_episode_begins() -> None:
    world = FakeWorld()
    result = run(world, FarPolicy()).execute(order(refine=False))
    assert result.end is RunEnd.COMPLETED
    first = next(stamp for stamp, positions in world.commands if np.allclose(positions, AWAY, atol=1e-6))
    assert first > world.start_ns + 5 * PERIOD_NS
    assert (steps_of(world, HOME) <= STEP + 1e-6).all()
    assert result.outcomes[0].steps == REAL.max_steps, "the way there costs the episode no step"


def test_an_arm_that_is_there_already_is_not_led() -> None:
    with_it, without = FakeWorld(), FakeWorld()
    run(with_it, SteadyPolicy()).execute(order(refine=False))
    planner = ChunkPlanner(SteadyPolicy(), ResidualPolicy(), KINEMATICS, REAL.call_interval, REAL.max_steps)
    Run(REAL, without, EpisodeLoop(REAL, without, planner)).execute(order(refine=False))
    assert [stamp for stamp, _ in with_it.commands] == [stamp for stamp, _ in without.commands]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(with_it.commands, without.commands, strict=True))


@given(st.lists(st.floats(-0.8, 0.8), min_size=5, max_size=5), st.floats(0.0, 0.08))
def test_no_step_is_faster_than_the_share_and_all_joints_arrive_together(turns: list[float], opening: float) -> None:
    world, goal = FakeWorld(), np.array([*turns, opening])
    goal[2] += 1.2
    goal = ROBOT.limits.clip(goal)
    start = world.observe(-1)
    there = approach(world).run(goal, start)
    if world.commands:
        assert (steps_of(world, HOME) <= STEP + 1e-6).all()
        assert np.allclose(there.joints, goal, atol=1e-6)
        way = np.array([positions for _, positions in world.commands]) - HOME
        share = way @ (goal - HOME) / ((goal - HOME) @ (goal - HOME))
        assert np.allclose(way, share[:, None] * (goal - HOME), atol=1e-6), "a straight line"
    else:
        assert (np.abs(goal - HOME) <= 0.1 * SHARE * ROBOT.limits.velocity_max + 1e-6).all()


def test_after_a_hold_a_plan_that_jumps_is_led_there_and_one_that_does_not_is_followed() -> None:
    class Pushed(FarPolicy):
        """Once the arm was pushed away, wants it back."""

    world = FakeWorld()
    loop = run(world, Pushed())
    pushed: list[int] = []
    command = world.command

    def push(positions: np.ndarray, stamp_ns: int) -> None:
        command(positions, stamp_ns)
        if np.allclose(positions, AWAY, atol=1e-6) and len(world.commands) > 12 and not pushed:
            world.joints, world.held_once = HOME.copy(), True
            pushed.append(len(world.commands))

    world.command = push  # type: ignore[method-assign]
    loop.execute(order(refine=False))
    assert pushed
    back = np.array([positions for _, positions in world.commands[pushed[0] :]])
    led = np.abs(back - AWAY)[:, :5].max(axis=1) > 1e-6
    assert led.any(), "it is led back"
    assert (np.abs(np.diff(np.vstack([HOME, back[led]]), axis=0)) <= STEP + 1e-6).all()


def test_an_arm_that_does_not_move_is_named() -> None:
    world = FakeWorld()
    world.command = lambda positions, stamp_ns: None  # type: ignore[method-assign]
    with pytest.raises(EpisodeCut, match="wrist_flex stays"):
        approach(world).run(AWAY, world.observe(-1))


def test_a_start_that_is_not_finite_moves_nothing() -> None:
    world = FakeWorld()
    with pytest.raises(BadInput, match="finite"):
        approach(world).run(AWAY * np.nan, world.observe(-1))
    assert world.commands == []
