"""The plan of the demo keeps its time and its promise of two equal evaluations."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lrm_bringup.demo.plan import REPORT_RESERVE_S, DemoSize, Goal, Plan
from lrm_bringup.report.journal import AFTER, BEFORE, REFINE

SEEDS = {BEFORE: 5000, REFINE: 9000}


def play(
    size: DemoSize, episode_s: float, start_s: float = 30.0, spread: float = 0.0
) -> tuple[list[Goal], float, Plan]:
    """Run a plan on a steady machine, ``spread`` slower after the first goal: (goals, end, plan)."""
    plan, goals, now_s = Plan(size, SEEDS), [], start_s
    while (goal := plan.next_goal(now_s)) is not None:
        took_s = goal.episodes * episode_s * (1.0 + (spread if goals else 0.0))
        plan.record(goal.phase, list(range(goal.first_seed, goal.first_seed + goal.episodes)), took_s)
        goals.append(goal)
        now_s += took_s
        assert len(goals) < 1000, "the plan does not end"
    return goals, now_s, plan


def test_on_a_fast_machine_everything_asked_for_is_run_in_order() -> None:
    goals, _, plan = play(DemoSize(1080, 60, 50), episode_s=1.0)
    phases = [goal.phase for goal in goals]
    assert phases == sorted(phases, key=[BEFORE, REFINE, AFTER].index)
    assert [len(plan.done[phase]) for phase in (BEFORE, REFINE, AFTER)] == [50, 60, 50]
    assert {goal.episodes for goal in goals if goal.phase == REFINE} == {2}


def test_both_evaluations_see_the_same_scenes_and_refinement_sees_others() -> None:
    _, _, plan = play(DemoSize(1080, 60, 50), episode_s=1.0)
    assert plan.done[BEFORE] == plan.done[AFTER] == list(range(5000, 5050))
    assert not set(plan.done[REFINE]) & set(plan.done[BEFORE])


def test_on_a_slow_machine_fewer_scenes_are_measured_and_some_time_is_left_to_refine() -> None:
    _, end_s, plan = play(DemoSize(600, 60, 50), episode_s=5.0)
    assert 10 < len(plan.done[BEFORE]) < 50
    assert len(plan.done[AFTER]) == len(plan.done[BEFORE])
    assert len(plan.done[REFINE]) >= 10
    assert end_s <= 600


@given(st.floats(0.2, 20), st.floats(60, 1500), st.integers(0, 60), st.integers(1, 60), st.floats(0, 0.1))
def test_the_time_is_kept_on_a_steady_machine(
    episode_s: float, seconds: float, episodes: int, scenes: int, spread: float
) -> None:
    _, end_s, plan = play(DemoSize(seconds, episodes, scenes), episode_s, spread=spread)
    # The first goal is started before any episode was timed; afterwards nothing starts that does not fit.
    assert end_s <= max(seconds - REPORT_RESERVE_S, 30.0 + 5 * episode_s) + 1e-6
    assert len(plan.done[AFTER]) <= len(plan.done[BEFORE]) <= scenes
    assert len(plan.done[REFINE]) <= episodes


@given(st.floats(0.2, 20), st.floats(60, 1500))
def test_refinement_is_always_followed_by_the_whole_second_evaluation(episode_s: float, seconds: float) -> None:
    _, _, plan = play(DemoSize(seconds, 60, 50), episode_s)
    if plan.done[REFINE]:
        assert plan.done[AFTER] == plan.done[BEFORE]


def test_scenes_lost_in_a_crash_are_asked_for_again() -> None:
    plan = Plan(DemoSize(1000, 4, 10, batch=10), SEEDS)
    first = plan.next_goal(0.0)
    assert first == Goal(BEFORE, 5000, 5)
    plan.record(BEFORE, [5000, 5001], 2.0)
    assert plan.next_goal(5.0) == Goal(BEFORE, 5002, 8)
    plan.record(BEFORE, [5003], 1.0)
    assert plan.next_goal(8.0) == Goal(BEFORE, 5002, 1)


def test_time_left_is_unknown_before_the_first_episode_and_bounded_afterwards() -> None:
    plan = Plan(DemoSize(1000, 10, 10), SEEDS)
    assert math.isnan(plan.remaining_s(5.0))
    plan.record(BEFORE, [5000, 5001], 4.0)
    assert plan.remaining_s(10.0) == 8 * 2 + 10 * 2 + 10 * 2 + REPORT_RESERVE_S
    assert plan.remaining_s(990.0) == 10.0


def test_no_episodes_to_refine_means_one_evaluation() -> None:
    goals, _, _ = play(DemoSize(1000, 0, 10), 1.0)
    assert {goal.phase for goal in goals} == {BEFORE}


def test_a_refinement_that_takes_too_long_gives_way_to_the_second_evaluation() -> None:
    plan = Plan(DemoSize(300, 60, 10), SEEDS)
    plan.record(BEFORE, list(range(5000, 5010)), 40.0)
    assert not plan.overdue(REFINE, 280.0), "with nothing refined there is nothing to measure again"
    plan.record(REFINE, [9000], 5.0)
    assert not plan.overdue(REFINE, 200.0)
    assert plan.overdue(REFINE, 250.0)
    assert not plan.overdue(AFTER, 250.0)
    assert plan.overdue(AFTER, 290.0)
    assert plan.next_goal(250.0) == Goal(AFTER, 5000, 5)
