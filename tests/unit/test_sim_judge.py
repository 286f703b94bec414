"""Privileged success, progress and outcome as functions of plain facts."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_sim import judge
from lrm_sim.catalog import CONTAINERS
from lrm_sim.judge import Facts, Outcome

START = np.array([0.2, 0.1, 0.024])
BOWL = np.array([0.25, -0.1, 0.3])
BOX = np.array([0.25, 0.1, 0.0])
UP = np.array([0.0, 0.0, 1.0])


def facts(**changes) -> Facts:
    """An untouched scene, changed."""
    untouched = Facts(
        container="blue bowl",
        distractor_container="white box",
        tcp=np.array([0.15, 0.0, 0.18]),
        object_position=START,
        object_start=START,
        object_moved_m=0.0,
        object_speed_m_per_s=0.0,
        held=False,
        touched=False,
        container_pose=BOWL,
        distractor_container_pose=BOX,
        distractor_moved_m=0.0,
    )
    return dataclasses.replace(untouched, **changes)


def in_bowl(z: float = 0.028, dx: float = 0.0) -> np.ndarray:
    return np.array([BOWL[0] + dx, BOWL[1], z])


coordinates = st.tuples(st.floats(0.05, 0.4), st.floats(-0.3, 0.3), st.floats(0.0, 0.3)).map(np.array)
any_facts = st.builds(
    lambda tcp, thing, speed, held, touched, distractor: facts(
        tcp=tcp,
        object_position=thing,
        object_moved_m=float(np.linalg.norm(thing - START)),
        object_speed_m_per_s=speed,
        held=held,
        touched=held or touched,
        distractor_moved_m=distractor,
    ),
    coordinates,
    st.one_of(coordinates, st.builds(in_bowl, st.floats(0.02, 0.1), st.floats(-0.08, 0.08))),
    st.floats(0.0, 0.3),
    st.booleans(),
    st.booleans(),
    st.floats(0.0, 0.2),
)


@given(any_facts)
def test_progress_is_one_exactly_at_success_and_within_its_range(scene):
    value = judge.progress(scene)
    assert 0.0 <= value <= 1.0
    assert (value == 1.0) == judge.success(scene)
    assert (judge.outcome(scene) is Outcome.IN_CONTAINER) == judge.success(scene)


@given(any_facts)
def test_an_object_let_go_outside_the_container_is_worth_at_most_the_reach(scene):
    bowl = CONTAINERS["blue bowl"]
    x, y = scene.object_position[:2] - BOWL[:2]
    cos, sin = math.cos(BOWL[2]), math.sin(BOWL[2])
    if not scene.held and not bowl.contains(np.array([cos * x + sin * y, cos * y - sin * x])):
        assert judge.progress(scene) <= 0.25


def test_success_needs_inside_low_let_go_and_at_rest():
    good = facts(object_position=in_bowl(), object_moved_m=0.2)
    assert judge.success(good)
    assert not judge.success(dataclasses.replace(good, touched=True))
    assert not judge.success(dataclasses.replace(good, object_speed_m_per_s=0.2))
    assert not judge.success(dataclasses.replace(good, object_position=in_bowl(z=0.06)))
    assert not judge.success(dataclasses.replace(good, object_position=in_bowl(dx=0.09)))


def test_progress_rises_along_the_task_and_falls_when_dropped_beside():
    carried = START + 0.6 * (in_bowl() - START)
    stages = [
        facts(),
        facts(tcp=START + 0.1 * UP),
        facts(tcp=START),
        facts(tcp=START, held=True, touched=True),
        facts(object_position=START + 0.03 * UP, held=True, touched=True),
        facts(object_position=START + 0.08 * UP, held=True, touched=True),
        facts(object_position=carried + 0.08 * UP, held=True, touched=True),
        facts(object_position=in_bowl(0.1), held=True, touched=True),
        facts(object_position=in_bowl(0.03), touched=True),
        facts(object_position=in_bowl(0.03)),
    ]
    values = [judge.progress(stage) for stage in stages]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    beside = np.array([BOWL[0], BOWL[1] + 0.11, 0.024])
    assert judge.progress(facts(object_position=beside, tcp=beside)) < values[3]


@given(st.floats(0.0, 0.09), st.floats(0.0, 0.09))
def test_lowering_into_the_container_costs_nothing(high, low):
    def held_at(z: float) -> float:
        return judge.progress(facts(object_position=in_bowl(0.024 + z), held=True, touched=True))

    assert held_at(high) == pytest.approx(held_at(low))


def test_moving_the_wrong_object_is_no_progress():
    assert judge.progress(facts(distractor_moved_m=0.2)) == judge.progress(facts())


@pytest.mark.parametrize(
    ("scene", "outcome"),
    [
        (facts(), Outcome.UNTOUCHED),
        (facts(held=True, touched=True), Outcome.HELD),
        (facts(distractor_moved_m=0.1), Outcome.WRONG_OBJECT),
        (facts(object_position=START + 0.1, object_moved_m=0.14), Outcome.BESIDE),
        (facts(object_position=np.array([*BOX[:2], 0.028]), object_moved_m=0.06), Outcome.WRONG_CONTAINER),
        (facts(object_position=in_bowl(), object_moved_m=0.2), Outcome.IN_CONTAINER),
    ],
)
def test_every_outcome_has_its_scene(scene, outcome):
    assert judge.outcome(scene) is outcome
