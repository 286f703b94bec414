"""The environment keeps Gymnasium's contract, is deterministic, and its physics is physics."""

import itertools

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import lrm_sim.env
from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.env import HOME, PickPlaceEnv
from lrm_sim.expert import Expert, Kind
from lrm_sim.scene import build_model


@pytest.fixture(scope="module")
def env():
    environment = PickPlaceEnv(render_every=0)
    yield environment
    environment.close()


def run_expert(env, seed, until, task=tasks.DEMO_TASK):
    """Step the expert from a reset until ``until(info)``; returns (info, last action)."""
    _, info = env.reset(seed=seed, options={"task": task})
    expert = Expert(env, Kind.SUCCESS, np.random.default_rng(seed))
    for _ in range(100):
        action = expert.act()
        info = env.step(action)[4]
        if until(info):
            return info, action
    raise AssertionError(f"never reached; last outcome {info['outcome']}")


@pytest.mark.filterwarnings("ignore:.*Box observation space.*", "ignore:.*infinity.*")
def test_gymnasiums_checker_finds_nothing_wrong():
    environment = gymnasium.make("lrm_sim.env:lrm_sim/PickPlace-v0")
    check_env(environment.unwrapped, skip_render_check=True)
    environment.close()


def test_the_same_seed_and_actions_give_the_same_bytes():
    def roll_out() -> bytes:
        environment = PickPlaceEnv()
        rng = np.random.default_rng(0)
        environment.reset(seed=3)  # a first episode, so that nothing of it may leak into the second
        environment.step(HOME)
        observation, _ = environment.reset(seed=7)
        parts = list(observation.values())
        for _ in range(8):
            observation, reward, *_, info = environment.step(HOME + rng.normal(0.0, 0.1, 6))
            parts += [*observation.values(), np.array([reward, info["progress"]])]
        environment.close()
        return b"".join(part.tobytes() for part in parts)

    assert roll_out() == roll_out()


def test_different_seeds_give_different_scenes(env):
    places = [env.reset(seed=seed)[1]["positions"]["object"] for seed in range(5)]
    assert len({place.tobytes() for place in places}) == 5


def test_the_named_task_is_on_the_table(env):
    for seed, pair in enumerate(tasks.PAIRS):
        _, info = env.reset(seed=seed, options={"task": tasks.sentence(*pair)})
        labels = info["labels"]
        assert (labels["object"], labels["container"]) == pair
        assert labels["distractor_object"] != labels["object"]
        assert labels["distractor_container"] != labels["container"]
        assert all(position[2] >= 0.0 for position in info["positions"].values())
        assert (info["outcome"], info["success"]) == ("untouched", False)
        assert info["progress"] < 0.2


def test_an_object_is_carried_by_friction_and_falls_when_the_gripper_opens(env):
    info, action = run_expert(env, 11, lambda i: i["outcome"] == "held" and i["positions"]["object"][2] > 0.1)
    for _ in range(10):
        info = env.step(action)[4]
    assert info["outcome"] == "held"
    held_at = info["positions"]["object"][2]
    assert held_at > 0.1
    assert env.data.eq_active.sum() == 1, "only the two fingers are coupled; nothing is welded to an object"
    for _ in range(10):
        info = env.step([*action[:5], 0.08])[4]
    assert info["positions"]["object"][2] < held_at - 0.05
    assert info["outcome"] != "held"


def test_without_friction_nothing_can_be_lifted():
    slippery = PickPlaceEnv(render_every=0)
    slippery.model.geom_friction[:] = 1e-4
    with pytest.raises(AssertionError, match="never reached"):
        run_expert(slippery, 11, lambda i: i["positions"]["object"][2] > 0.08)
    slippery.close()


def test_reward_is_success_and_truncation_comes_at_max_steps():
    environment = PickPlaceEnv(max_steps=3, render_every=0)
    environment.reset(seed=0)
    results = [environment.step(HOME) for _ in range(3)]
    assert [truncated for _, _, _, truncated, _ in results] == [False, False, True]
    assert not any(terminated or reward for _, reward, terminated, _, _ in results)
    environment.close()


def test_success_pays_one(env):
    info, action = run_expert(env, 5, lambda i: i["success"])
    _, reward, _, _, info = env.step(action)
    assert (reward, info["progress"], info["outcome"]) == (1.0, 1.0, "in_container")


def test_frames_are_rendered_only_when_wanted():
    environment = PickPlaceEnv(render_every=3)
    observation, _ = environment.reset(seed=1)
    frames = [observation["front"]] + [environment.step(HOME - 0.1 * i)[0]["front"] for i in range(1, 7)]
    changed = [not np.array_equal(a, b) for a, b in itertools.pairwise(frames)]
    assert changed == [False, False, True, False, False, True]
    environment.close()


@pytest.mark.parametrize("action", [np.zeros(5), np.full(6, np.nan), np.full(6, np.inf)])
def test_a_bad_action_is_refused(env, action):
    env.reset(seed=0)
    with pytest.raises(BadInput, match="6 finite joint targets"):
        env.step(action)


def test_an_unknown_task_is_refused(env):
    with pytest.raises(BadInput, match="task is 'fly'"):
        env.reset(seed=0, options={"task": "fly"})


def test_everything_is_large_in_the_front_view_and_the_inside_of_containers_shows(env):
    renderer = mujoco.Renderer(env.model, 128, 128)
    renderer.enable_segmentation_rendering()
    for seed in range(40):
        env.reset(seed=seed)
        renderer.update_scene(env.data, camera="front")
        geoms = renderer.render()[..., 0]
        bodies = np.where(geoms >= 0, env.model.geom_bodyid[geoms], -1)
        for name in (env.object, env.distractor_object):
            rows, columns = np.nonzero(bodies == env.model.body(name).id)
            assert max(np.ptp(rows), np.ptp(columns)) + 1 >= 15, f"{name} in scene {seed}"
        for name in (env.container, env.distractor_container):
            body = env.model.body(name)
            floor_geom = body.geomadr[0] + body.geomnum[0] - 1
            assert (geoms == floor_geom).sum() >= 100, f"inside of {name} in scene {seed}"
    renderer.close()


def test_a_machine_without_opengl_is_told_so(monkeypatch):
    def broken(*_: object) -> None:
        raise mujoco.FatalError("no context")

    monkeypatch.setattr(mujoco, "Renderer", broken)
    environment = PickPlaceEnv()
    with pytest.raises(lrm_sim.rendering.LrmError, match="no off-screen OpenGL"):
        environment.reset(seed=0)


def test_the_scene_holds_the_arm_of_the_robot_description():
    model = build_model()
    assert [model.actuator(i).name for i in range(model.nu)] == list(lrm_sim.scene.JOINTS)
