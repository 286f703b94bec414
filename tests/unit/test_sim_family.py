"""The widened task family: sentences, what is held out, and the truth of every verb."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.catalog import CONTAINER_SHAPES, CONTAINERS, PRISMS, SHAPES, container, prism
from lrm_sim.family import things
from lrm_sim.family.look import CAMERAS, HELD_OUT_CAMERAS, Look, draw_look
from lrm_sim.family.sentences import WORDINGS, Instruction, parse
from lrm_sim.family.splits import SPLITS
from lrm_sim.family.verbs import HELD_OUT_VERBS, TRAINED_VERBS, VERBS
from lrm_sim.judge import Facts
from lrm_sim.scene import FRONT_POSITION_M

START = np.array([0.2, 0.1, 0.024])
objects = st.sampled_from([name for part in things.OBJECTS.values() for name in part])
containers = st.sampled_from([name for part in things.CONTAINERS.values() for name in part])
templates = st.sampled_from(
    [(verb, form) for verb, w in WORDINGS.items() for form in (*w.forms("trained"), *w.held_out)]
)


@given(templates, objects, containers)
def test_every_form_of_every_verb_is_read_back(verb_and_form, thing, where):
    verb, form = verb_and_form
    said = Instruction(verb, thing, where if WORDINGS[verb].names_container else "")
    text = said.sentence(form)
    assert parse(text) == said
    assert parse(f"  {text.upper()}. ") == said


@pytest.mark.parametrize(
    "text", ["", "juggle the red cube", "put the red bowl in the blue cube", "lift the mauve cube"]
)
def test_a_sentence_of_no_verb_is_refused_with_what_is_allowed(text):
    with pytest.raises(BadInput, match="lift the"):
        parse(text)


def test_the_things_of_the_demo_are_those_of_the_catalogue():
    assert all(prism(name) is thing for name, thing in PRISMS.items())
    assert all(container(name) is thing for name, thing in CONTAINERS.items())
    assert prism("pink disc").radius_m == SHAPES["disc"].radius_m
    assert container("red basket").walls == CONTAINER_SHAPES["basket"].walls


@pytest.mark.parametrize("axis", [things.OBJECTS, things.CONTAINERS])
def test_no_held_out_part_of_an_axis_is_trained(axis):
    trained = set(axis["trained"])
    assert set(axis["demo"]) <= trained
    for part in ("new_shape", "new_colour", "new_painting"):
        assert not trained & set(axis[part])
    words = {word for name in trained for word in name.split()}
    assert all(set(name.split()) <= words for name in axis["new_painting"])
    assert all(not set(name.split()) <= words for part in ("new_shape", "new_colour") for name in axis[part])


def test_a_held_out_sentence_form_is_never_a_trained_one():
    trained = {form for verb in TRAINED_VERBS for form in WORDINGS[verb].forms("trained")}
    held_out = {form for wording in WORDINGS.values() for form in wording.held_out}
    unseen_verbs = {form for verb in HELD_OUT_VERBS for form in WORDINGS[verb].forms("trained")}
    assert not trained & (held_out | unseen_verbs)


@given(st.integers(0, 10**6))
def test_training_shows_nothing_that_is_held_out(index):
    (spec,) = SPLITS["family"].specs(1, first=index)
    scene, said = spec.scene, parse(spec.scene.sentence)
    assert said == scene.instruction and said.verb in TRAINED_VERBS
    assert {said.object, scene.distractor_object} <= set(things.OBJECTS["trained"])
    assert {scene.container, scene.distractor_container} <= set(things.CONTAINERS["trained"])
    assert (said.object, scene.container) not in tasks.HELD_OUT_PAIRS
    assert not any(scene.sentence == said.sentence(form) for form in WORDINGS[said.verb].held_out)
    azimuth, roll = np.degrees([abs(scene.look.azimuth_rad), abs(scene.look.roll_rad)])
    assert azimuth <= 15.0 and roll <= 3.0 and 0.94 <= scene.look.distance <= 1.12


@given(st.sampled_from(sorted(SPLITS)), st.integers(0, 10**5 - 1))
def test_the_things_of_a_scene_can_be_told_apart_by_colour(split, index):
    (spec,) = SPLITS[split].specs(1, first=index)
    scene = spec.scene
    named = (scene.instruction.object, scene.container, scene.distractor_object, scene.distractor_container)
    assert len({name.split()[0] for name in named}) == 4
    assert scene.instruction.container in ("", scene.container)


def test_no_two_splits_share_a_seed():
    starts = sorted(split.first_seed for split in SPLITS.values())
    assert np.diff(starts).min() >= 100_000


@pytest.mark.parametrize("name", [name for name in SPLITS if name.startswith(("held_out_", "verb_"))])
def test_a_held_out_split_differs_from_the_demo_in_one_thing_alone(name):
    nominal, split = SPLITS["demo_world"], SPLITS[name]
    fields = [field.name for field in dataclasses.fields(split) if field.name != "first_seed"]
    changed = [field for field in fields if getattr(split, field) != getattr(nominal, field)]
    assert len(changed) == (0 if name == "verb_put" else 1)


def test_a_split_goes_on_where_it_was_left():
    split = SPLITS["family"]
    assert split.specs(10)[4:] == split.specs(6, first=4)


def test_kinds_that_a_verb_does_not_know_are_refused():
    with pytest.raises(BadInput, match="kinds"):
        SPLITS["held_out_verbs"].specs(1, ["on_rim"])


def test_the_nominal_look_is_that_of_the_demo():
    np.testing.assert_allclose(Look().position_m, FRONT_POSITION_M, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from(HELD_OUT_CAMERAS))
def test_a_held_out_camera_is_outside_of_what_is_trained(seed, name):
    look, trained = draw_look(np.random.default_rng(seed), name), CAMERAS["trained"]
    outside = [
        np.degrees(abs(look.azimuth_rad)) > trained.azimuth_deg[1],
        np.degrees(look.elevation_rad) > trained.elevation_deg[1],
        np.degrees(look.elevation_rad) < trained.elevation_deg[0],
        not trained.distance[0] <= look.distance <= trained.distance[1],
        not trained.fovy_deg[0] <= look.fovy_deg <= trained.fovy_deg[1],
        np.degrees(abs(look.roll_rad)) > trained.roll_deg[1],
    ]
    assert sum(outside) == 1


@pytest.mark.parametrize(("camera", "background"), [("moon", "nominal"), ("nominal", "moon")])
def test_an_unknown_look_is_refused(camera, background):
    with pytest.raises(BadInput, match="moon"):
        draw_look(np.random.default_rng(0), camera, background)


def facts(**changes) -> Facts:
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
        container_pose=np.array([0.25, -0.1, 0.3]),
        distractor_container_pose=np.array([0.25, 0.1, 0.0]),
        distractor_moved_m=0.0,
    )
    return dataclasses.replace(untouched, **changes)


places = st.tuples(st.floats(0.05, 0.4), st.floats(-0.3, 0.3), st.floats(0.0, 0.3)).map(np.array)
any_facts = st.builds(
    lambda tcp, thing, speed, held, touched: facts(
        tcp=tcp, object_position=thing, object_speed_m_per_s=speed, held=held, touched=held or touched
    ),
    places,
    st.one_of(places, st.builds(lambda x, y: np.add(START, (x, y, 0.0)), st.floats(-0.1, 0.1), st.floats(-0.25, 0.1))),
    st.sampled_from((0.0, 0.2)),
    st.booleans(),
    st.booleans(),
)


@given(st.sampled_from(sorted(VERBS)), any_facts)
def test_progress_is_a_share_and_one_exactly_at_success(verb, at):
    judge = VERBS[verb].judge
    progress = judge.progress(at)
    assert 0.0 <= progress <= 1.0
    assert (progress == 1.0) == judge.success(at)


def moved(x: float = 0.0, y: float = 0.0, z: float = 0.0, **changes) -> Facts:
    return facts(object_position=np.add(START, (x, y, z)), **changes)


@pytest.mark.parametrize(
    ("verb", "done", "not_done"),
    [
        ("lift", moved(z=0.08, held=True, touched=True), moved(z=0.03, held=True, touched=True)),
        ("lift", moved(z=0.08, held=True, touched=True), moved(z=0.08)),
        ("push_left", moved(y=-0.06), moved(y=0.06)),
        ("push_right", moved(y=0.06), moved(y=-0.06)),
        ("push_right", moved(y=0.06), moved(y=0.06, touched=True)),
        ("push_right", moved(y=0.06), moved(x=0.08, y=0.06)),
        ("push_right", moved(y=0.06), moved(y=0.06, z=0.05, held=True, touched=True)),
        ("touch", moved(touched=True), moved()),
        ("next_to", moved(x=0.05, y=-0.105), moved(x=0.05, y=-0.2)),
        ("push_to", moved(x=0.05, y=-0.105), moved(x=0.05, y=-0.03)),
        ("take_out", moved(), moved(x=0.05, y=-0.2)),
        ("put", moved(x=0.05, y=-0.2), moved()),
    ],
)
def test_success_of_a_verb_is_what_its_sentence_says(verb, done, not_done):
    judge = VERBS[verb].judge
    assert judge.success(done) and not judge.success(not_done)
    assert judge.progress(not_done) < 1.0
