"""The family as a Gymnasium environment: ``gymnasium.make("lrm_sim/Family-v0")`` after importing this module."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np

from lrm_core.errors import BadInput
from lrm_sim import judge
from lrm_sim.catalog import CONTAINER_SHAPES, FLOOR_M, SHAPES, container, prism
from lrm_sim.env import PickPlaceEnv
from lrm_sim.family.scenes import Scene, draw_scene
from lrm_sim.family.sentences import Instruction, parse
from lrm_sim.family.things import CONTAINERS, OBJECTS
from lrm_sim.family.verbs import TRAINED_VERBS, VERBS, Verb
from lrm_sim.placement import Layout, sample_layout
from lrm_sim.scene import build_model

LAYOUTS = 3000
"""Places are drawn at most so often until the verb has room."""


class FamilyEnv(PickPlaceEnv):
    """As :class:`PickPlaceEnv`, for every sentence of the family.

    ``reset(options={"task": sentence})`` draws what else stands there from the seed; ``options={"scene": Scene}`` says
    all of it. ``info["labels"]`` also holds the ``verb``; container and distractors are named there whether the
    sentence names them or not. ``info["outcome"]`` is ``success``, or what the physics shows.
    """

    scene: Scene | None = None

    @property
    def verb(self) -> Verb:
        """What is asked for in this scene."""
        assert self.scene is not None
        return VERBS[self.scene.instruction.verb]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode; see the class.

        Raises:
            BadInput: the sentence is not of this family, or the verb has no room in any layout of this seed.
        """
        self.scene = (options or {}).get("scene")
        return super().reset(seed=seed, options=options)

    def body_of(self, thing: str) -> str:
        """Name of the body that is an object or container of this scene."""
        return self._bodies[thing]

    def _known_task(self, task: str) -> str:
        parse(task)
        return task

    def _build_model(self) -> mujoco.MjModel:
        prisms = {f"{shape} {i}": SHAPES[shape] for shape in SHAPES for i in range(2)}
        return build_model(
            prisms, {f"{shape} {i}": CONTAINER_SHAPES[shape] for shape in CONTAINER_SHAPES for i in range(2)}
        )

    def _choose_things(self, task: str | None) -> None:
        scene = self.scene or self._scene_of(task)
        self.scene, self.task = scene, scene.sentence
        self.object, self.container = scene.instruction.object, scene.container
        self.distractor_object, self.distractor_container = scene.distractor_object, scene.distractor_container
        roles = ((self.object, self.container), (self.distractor_object, self.distractor_container))
        self._bodies = {thing: f"{thing.split()[1]} {i}" for i, things in enumerate(roles) for thing in things}
        for thing in self._bodies:
            self._paint(thing)
        scene.look.apply(self.cameras, self.model, self.model.geom("table").id)

    def _scene_of(self, task: str | None) -> Scene:
        rng = self.np_random
        if task is not None:
            return draw_scene(rng, parse(task), task)
        verb = VERBS[TRAINED_VERBS[rng.integers(len(TRAINED_VERBS))]]
        things = (OBJECTS["trained"], CONTAINERS["trained"])
        thing, other = (names[rng.integers(len(names))] for names in things)
        if thing.split()[0] == other.split()[0]:
            return self._scene_of(None)
        return draw_scene(rng, Instruction(verb.name, thing, other if verb.wording.names_container else ""))

    def _paint(self, thing: str) -> None:
        """Colour the body of a thing; the floor of a container is darker, as in the demo."""
        body = self.model.body(self._bodies[thing])
        geoms = slice(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
        is_object = thing.split()[1] in SHAPES
        solid = prism(thing) if is_object else container(thing)
        self.cameras.colours[geoms, :3] = solid.rgb
        if not is_object:
            floor = body.geomadr[0] + len(container(thing).walls)
            self.cameras.colours[floor : geoms.stop, :3] = 0.6 * np.array(solid.rgb)

    def _sample_layout(self) -> Layout:
        for _ in range(LAYOUTS):
            layout = sample_layout(self.np_random, self.container, self.distractor_container)
            if self.verb.starts_inside:
                return replace(layout, object_pose=replace(layout.container_pose, yaw=layout.object_pose.yaw))
            if self.verb.fits(layout, self.container):
                return layout
        raise BadInput("task", self.task, "a verb that has room on the table", "Try another seed.")

    def _place_things(self, layout: Layout) -> None:
        self.model.geom_contype[:], self.model.geom_conaffinity[:] = self._contact_masks
        poses = {
            self.body_of(self.object): layout.object_pose,
            self.body_of(self.distractor_object): layout.distractor_object_pose,
            self.body_of(self.container): layout.container_pose,
            self.body_of(self.distractor_container): layout.distractor_container_pose,
        }
        raised = {self.body_of(self.object): FLOOR_M} if self.verb.starts_inside else {}
        for index, shape in enumerate(SHAPES):
            for name in (f"{shape} 0", f"{shape} 1"):
                height = SHAPES[shape].half_height_m + raised.get(name, 0.0)
                self._place_object(name, poses.get(name), height, index)
        for shape in CONTAINER_SHAPES:
            for name in (f"{shape} 0", f"{shape} 1"):
                self._place_container(name, poses.get(name))

    def _judge(self, facts: judge.Facts) -> tuple[bool, float, str]:
        verb, done = self.verb.judge, self.verb.judge.success(facts)
        return done, verb.progress(facts), "success" if done else judge.outcome(facts).value

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        info["labels"]["verb"] = self.verb.name
        return info


gymnasium.register("lrm_sim/Family-v0", entry_point="lrm_sim.family.env:FamilyEnv", disable_env_checker=True)
