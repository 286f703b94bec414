"""The judge sees in another simulator's scene what it sees in its own: whole episodes of the expert, copied over."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lrm_sim import tasks
from lrm_sim.env import PickPlaceEnv
from lrm_sim.expert import Expert, Kind
from lrm_sim.gazebo.description import CONTROLLED
from lrm_sim.gazebo.mirror import Mirror
from lrm_sim.gazebo.moments import Moment, Motion
from lrm_sim.gazebo.world import parking


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[PickPlaceEnv, Mirror]]:
    env, mirror = PickPlaceEnv(render_every=0), Mirror()
    yield env, mirror
    env.close()
    mirror.close()


def moment_of(env: PickPlaceEnv) -> Moment:
    """The moment that Gazebo would show if it had the state of ``env``."""
    positions = np.array([float(env.data.joint(name).qpos[0]) for name in CONTROLLED])
    objects = {}
    for name in tasks.OBJECTS:
        body, joint = env.data.body(name), env.data.joint(name)
        objects[name] = Motion(body.xpos.copy(), body.xquat.copy(), float(np.linalg.norm(joint.qvel[:3])))
    return Moment(1, {}, positions, np.zeros(len(CONTROLLED)), objects)


@pytest.mark.parametrize("kind", [Kind.SUCCESS, Kind.DROPPED_EARLY, Kind.WRONG_CONTAINER, Kind.WRONG_OBJECT])
def test_an_episode_is_judged_alike_but_for_the_step_of_letting_go(
    scene: tuple[PickPlaceEnv, Mirror], kind: Kind
) -> None:
    """A finger less than a millimetre away touches: in the one step in which the gripper opens that can differ."""
    env, mirror = scene
    env.reset(seed=6, options={"task": tasks.DEMO_TASK})
    mirror.reset(6, tasks.DEMO_TASK)
    mirror.info(moment_of(env), start=True)
    expert = Expert(env, kind, np.random.default_rng(6))
    seen, differ = set(), 0
    for _ in range(75):
        ours = env.step(expert.act())[4]
        theirs = mirror.info(moment_of(env))
        same = (ours["outcome"], ours["success"]) == (theirs["outcome"], theirs["success"])
        differ += not same or abs(ours["progress"] - theirs["progress"]) > 1e-3
        seen.add(ours["outcome"])
    assert len(seen) >= 2 and differ <= 2
    assert theirs["outcome"] == ours["outcome"]


def test_the_scene_of_a_seed_is_that_of_mujoco_and_the_rest_is_parked(scene: tuple[PickPlaceEnv, Mirror]) -> None:
    env, mirror = scene
    env.reset(seed=9, options={"task": tasks.DEMO_TASK})
    mirror.reset(9, tasks.DEMO_TASK)
    used = {env.object, env.container, env.distractor_object, env.distractor_container}
    assert set(mirror.places) == {*tasks.OBJECTS, *tasks.CONTAINERS}
    for name, place in mirror.places.items():
        expected = env.data.body(name).xpos if name in used else parking(name)
        np.testing.assert_allclose(place.position, expected)


def test_an_episode_does_not_begin_before_arm_and_objects_stand_where_they_should(
    scene: tuple[PickPlaceEnv, Mirror],
) -> None:
    env, mirror = scene
    env.reset(seed=9, options={"task": tasks.DEMO_TASK})
    mirror.reset(9, tasks.DEMO_TASK)
    ready = moment_of(env)
    objects = {name: Motion(place.position, np.eye(4)[0], 0.0) for name, place in mirror.places.items()}
    objects = {name: objects[name] for name in tasks.OBJECTS}
    still = Moment(1, {}, ready.positions, ready.velocities, objects)
    assert mirror.missing(still) == []
    raised = ready.positions.copy()
    raised[1] += 0.1
    assert mirror.missing(Moment(1, {}, raised, ready.velocities, objects)) == ["the arm"]
    thing = tasks.OBJECTS[0]
    moving = {**objects, thing: Motion(objects[thing].position, objects[thing].quat, 0.1)}
    away = {**objects, thing: Motion(objects[thing].position + 0.02, objects[thing].quat, 0.0)}
    for late in (moving, away):
        (words,) = mirror.missing(Moment(1, {}, ready.positions, ready.velocities, late))
        assert thing in words


def test_showing_a_moment_leaves_the_physics_as_it_was() -> None:
    env = PickPlaceEnv(render_every=0)
    env.reset(seed=1, options={"task": tasks.DEMO_TASK})
    margins = env.model.geom_margin.copy(), env.model.geom_gap.copy()
    moment = moment_of(env)
    objects = {name: (m.position, m.quat, m.speed_m_per_s) for name, m in moment.objects.items()}
    env.show(moment.positions[:5], moment.positions[5:], objects)
    np.testing.assert_array_equal([env.model.geom_margin, env.model.geom_gap], margins)
    env.close()
