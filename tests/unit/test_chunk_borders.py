"""Where one chunk ends and the next begins: plans are blended, and a plan is entered at the step that is due."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bench.chunk_world import DelayedInference
from hypothesis import given, settings
from hypothesis import strategies as st

from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_policy_node.lerobot.ensemble import ChunkEnsemble, new_blending
from lrm_policy_node.rl.actor import ResidualPolicy
from lrm_policy_node.runtime.decisions import Blending, ChunkPlanner
from lrm_policy_node.runtime.inference import Inference
from lrm_policy_node.runtime.loop import EpisodeLoop
from lrm_policy_node.runtime.observation import Observation
from lrm_policy_node.runtime.params import PolicyParams
from lrm_policy_node.runtime.run import Run
from test_runtime_loop import HOME, IMAGES, KINEMATICS, PERIOD_NS, FakeWorld, K, SteadyPolicy, order

JOINTS = 2
REAL = PolicyParams(call_interval=K, max_steps=6 * K, lockstep=False)
ROUNDING = 1e-5
"""float32, over a handful of plans."""


def ensemble(plans: list[np.ndarray], interval: int, coefficient: float = 0.01) -> list[np.ndarray]:
    """What is done from each plan on, for plans (H, J) made every ``interval`` steps."""
    blending = ChunkEnsemble(len(plans[0]), interval, coefficient)
    return [blending.blend(plan, index * interval) for index, plan in enumerate(plans)]


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[list[np.ndarray], int, float]:
    """Plans, the steps between them, and a coefficient."""
    interval, blocks, rest = draw(st.integers(1, 5)), draw(st.integers(2, 5)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    horizon = interval * blocks + min(rest, interval - 1)
    plans = [rng.normal(size=(horizon, JOINTS)).astype(np.float32) for _ in range(draw(st.integers(1, 8)))]
    return plans, interval, draw(st.floats(-1.0, 1.0))


@given(overlapping())
@settings(deadline=None, max_examples=40)
def test_blended_steps_are_the_weighted_mean_of_all_plans_that_cover_them(
    drawn: tuple[list[np.ndarray], int, float],
) -> None:
    plans, interval, coefficient = drawn
    horizon = len(plans[0]) // interval * interval
    for newest, blended in enumerate(ensemble(plans, interval, coefficient)):
        assert len(blended) == horizon
        assert np.isfinite(blended).all()
        for step, row in enumerate(blended):
            at = newest * interval + step
            covering = [
                plan[at - i * interval] for i, plan in enumerate(plans[: newest + 1]) if at - i * interval < horizon
            ]
            weights = np.exp(-coefficient * np.arange(len(covering)))
            assert np.allclose(row, weights @ np.array(covering) / weights.sum(), atol=ROUNDING)
            assert (np.min(covering, axis=0) - ROUNDING <= row).all(), "within the convex hull"
            assert (row <= np.max(covering, axis=0) + ROUNDING).all(), "within the convex hull"


@given(st.floats(-3.0, 3.0), st.integers(1, 9), st.floats(-1.0, 1.0))
@settings(deadline=None)
def test_plans_that_agree_stay_as_they_are(value: float, plans: int, coefficient: float) -> None:
    plan = np.full((12, JOINTS), value, np.float32)
    for blended in ensemble([plan] * plans, 3, coefficient):
        assert np.allclose(blended, plan, atol=ROUNDING)


def test_one_plan_is_itself_and_a_gap_begins_anew() -> None:
    first, second = np.zeros((8, JOINTS), np.float32), np.ones((8, JOINTS), np.float32)
    blending = ChunkEnsemble(8, 4, 0.01)
    assert np.array_equal(blending.blend(first, 0), first)
    assert np.array_equal(blending.blend(second, 8), second), "a plan was left out: the older one counts no more"
    blending.reset()
    assert np.array_equal(blending.blend(first, 12), first)


def test_plans_that_do_not_overlap_and_weights_that_overflow_are_refused() -> None:
    with pytest.raises(BadInput, match="Lower call_interval to 5"):
        ChunkEnsemble(10, 10, 0.01)
    with pytest.raises(BadInput, match="temporal_ensemble_coeff"):
        ChunkEnsemble(1000, 1, -1.0)
    assert new_blending(PolicyParams(), 10) is None


class CountingPolicy(SteadyPolicy):
    """Step i of its n-th plan is n + i / 100 in every joint, so that a command tells where it comes from."""

    def __init__(self, chunk_steps: int) -> None:
        self.chunk_steps, self.plans = chunk_steps, 0

    def chunk(self, observation: dict[str, np.ndarray], earlier: Sequence[object] = ()) -> np.ndarray:
        self.plans += 1
        steps = self.plans + np.arange(self.chunk_steps)[:, None] / 100
        return np.repeat(steps, len(HOME), axis=1).astype(np.float32)


def drive(world: FakeWorld, policy: SteadyPolicy, params: PolicyParams, delay_s: float, refine: bool = False) -> Run:
    blending = new_blending(params, policy.chunk_steps)
    planner = ChunkPlanner(
        policy, ResidualPolicy(), KINEMATICS if refine else None, K, params.max_steps, blending, tail_steps=K
    )
    inference = DelayedInference(lambda: world.now_ns, delay_s)
    return Run(params, world, EpisodeLoop(params, world, planner, inference=inference))


def sources(world: FakeWorld) -> list[tuple[int, int, int]]:
    """Of each command: the control step it was sent at, the plan it comes from, the step of that plan."""
    steps = [(stamp - world.start_ns) // PERIOD_NS for stamp, _ in world.commands]
    values = [float(positions[0]) for _, positions in world.commands]
    return [(step, int(value), round(100 * (value % 1))) for step, value in zip(steps, values, strict=True)]


@given(
    st.floats(0.0, 0.1 * (K - 1)),
    st.integers(K, 3 * K),
    st.dictionaries(st.integers(0, 20), st.integers(1, 3), max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_every_command_is_the_step_that_is_due_of_the_newest_plan_that_is_there(
    delay_s: float, horizon: int, lag: dict[int, int]
) -> None:
    world = FakeWorld()
    world.lag_periods = lag
    drive(world, CountingPolicy(horizon), REAL, delay_s).execute(order(refine=False))
    begun: dict[int, int] = {}
    for step, plan, index in sources(world):
        assert 0 <= index < min(horizon, 2 * K), "never beyond the plan"
        assert plan >= max(begun, default=0), "never back to an older plan"
        assert begun.setdefault(plan, step - index) == step - index, "the step follows the stamps"
    if not lag and horizon == 2 * K:
        assert all(begun[plan] == (plan - 1) * K for plan in begun if plan > 1), "nothing is lost where plans overlap"


def test_while_a_plan_is_made_the_arm_goes_on_with_the_last_one() -> None:
    world = FakeWorld()
    drive(world, CountingPolicy(2 * K), REAL, delay_s=0.2).execute(order(refine=False))
    assert [step for step, _, _ in sources(world)] == list(range(2, REAL.max_steps)), "no stop after the first plan"
    assert sources(world)[:6] == [(2, 1, 0), (3, 1, 1), (4, 1, 2), (5, 1, 3), (6, 2, 2), (7, 2, 3)]
    assert world.delays_ns == [2 * PERIOD_NS] * 6


def test_an_arm_that_had_to_wait_goes_on_from_where_it_stands_and_leaps_over_no_step() -> None:
    world = FakeWorld()
    drive(world, CountingPolicy(K), REAL, delay_s=0.2).execute(order(refine=False))
    assert sources(world)[:8] == [
        *[(2, 1, 0), (3, 1, 1), (4, 1, 2), (5, 1, 3)],  # the first plan, two periods late as a whole
        *[(6, 2, 2), (7, 2, 3), (10, 3, 0), (11, 3, 1)],
    ]


def test_a_plan_that_is_there_within_half_a_period_is_not_late() -> None:
    world = FakeWorld()
    drive(world, CountingPolicy(2 * K), REAL, delay_s=0.04).execute(order(refine=False))
    assert [(plan, index) for _, plan, index in sources(world)] == [(n, i) for n in range(1, 7) for i in range(K)]


def test_a_policy_that_is_slower_than_its_chunks_ends_the_run_and_moves_nothing() -> None:
    world = FakeWorld()
    result = drive(world, CountingPolicy(K), REAL, delay_s=0.1 * K + 0.1).execute(order(refine=False))
    assert result.outcomes[0].reason is TerminationReason.POLICY_ERROR
    assert "Planning takes longer than a chunk of 0.4 s" in result.message
    assert world.commands == []


def test_late_plans_change_no_transition() -> None:
    late, at_once = FakeWorld(), FakeWorld()
    for world, delay_s in ((late, 0.2), (at_once, 0.0)):
        drive(world, SteadyPolicy(), REAL, delay_s, refine=True).execute(order())
    spans = [[(t.index, t.start_stamp_ns, t.end_stamp_ns, t.truncated) for t in w.transitions] for w in (late, at_once)]
    assert spans[0] == spans[1]
    assert len(spans[0]) == REAL.max_steps // K


def commands(params: PolicyParams, blending: Blending | None = None, tail_steps: int = 0) -> list[np.ndarray]:
    """Commands of an episode in lock-step."""
    world, policy = FakeWorld(), SteadyPolicy()
    planner = ChunkPlanner(policy, ResidualPolicy(), KINEMATICS, K, params.max_steps, blending, tail_steps)
    Run(params, world, EpisodeLoop(params, world, planner)).execute(order(refine=False))
    return [positions for _, positions in world.commands]


def test_in_lock_step_the_default_commands_the_plans_of_the_policy_to_the_bit() -> None:
    params = replace(REAL, lockstep=True)
    policy, at, expected = SteadyPolicy(), HOME, []
    while len(expected) < params.max_steps:
        expected += list(policy.chunk({"state": at})[:K])
        at = expected[-1]
    for blending, tail_steps in ((new_blending(params, policy.chunk_steps), 0), (None, K)):
        found = commands(params, blending, tail_steps)
        assert np.array_equal(found, expected)


def test_a_displacement_is_ramped_in_from_the_step_that_is_commanded_first() -> None:
    residual = ResidualPolicy()
    residual.act = lambda features, explore, rng: np.array([0.5, 0.0, 0.0], np.float32)  # type: ignore[method-assign]
    planner = ChunkPlanner(SteadyPolicy(), residual, KINEMATICS, K, 40)
    observation = Observation(0, IMAGES, HOME)
    base = SteadyPolicy().chunk({"state": HOME})
    planner.begin("a", np.random.default_rng(0))
    targets, _ = planner.plan(observation, 0, False, late_steps=2)
    assert np.array_equal(targets[:2], base[:2]), "their time is over"
    moved = np.linalg.norm(KINEMATICS.tcp(targets[2]) - KINEMATICS.tcp(base[2]))
    assert moved == pytest.approx(0.5 * KINEMATICS.bound_m / KINEMATICS.ramp_steps, rel=0.1)


def test_inference_runs_beside_the_loop_and_hands_on_what_goes_wrong() -> None:
    inference, gate = Inference(), threading.Event()

    def work() -> np.ndarray:
        assert gate.wait(30.0)
        raise ValueError("out of memory")

    try:
        inference.start(work)
        assert not inference.ready(0.0)
        gate.set()
        assert inference.ready(30.0)
        with pytest.raises(ValueError, match="out of memory"):
            inference.result()
        inference.settle()
    finally:
        gate.set()
        inference.close()
