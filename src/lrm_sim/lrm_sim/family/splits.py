"""Named parts of the family: what is trained, and one split per held-out axis, changed in that one thing alone.

Every split but the trained ones is the demo's world with one change: the demo's things, camera, table and plain "put"
sentences, except for what its name says. So a model that knows the demo alone, and one that has been trained on the
family, are judged by the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.collect import FAMILY_HELD_OUT_SEEDS, FAMILY_TRAIN_SEEDS, SEED_RANGE
from lrm_sim.family.episodes import FamilySpec, draw_motion
from lrm_sim.family.look import HELD_OUT_CAMERAS, draw_look
from lrm_sim.family.scenes import draw_scene
from lrm_sim.family.sentences import Instruction
from lrm_sim.family.things import CONTAINERS, OBJECTS, colour_of
from lrm_sim.family.verbs import HELD_OUT_VERBS, TRAINED_VERBS, VERBS

PLAIN_SHARE = 0.3
"""Share of trained episodes with the demo's own camera and table."""


@dataclass(frozen=True)
class Split:
    """Where the scenes of a split come from.

    Attributes:
        first_seed: its scene seeds, and no other split's, start here.
        verbs: names of :data:`VERBS`, drawn with equal chance; one that stands here twice comes twice as often.
        objects, containers: part of ``things.OBJECTS`` and ``things.CONTAINERS`` of the named things.
        others: the same of the things that stand beside them.
        cameras: ranges of ``look.CAMERAS``, drawn with equal chance.
        background: one of ``look.BACKGROUNDS``.
        paraphrases: which forms of the sentence: plain, trained or held_out.
    """

    first_seed: int
    verbs: tuple[str, ...] = ("put",)
    objects: str = "demo"
    containers: str = "demo"
    others: str = "demo"
    cameras: tuple[str, ...] = ("nominal",)
    background: str = "nominal"
    paraphrases: str = "plain"

    def specs(self, n: int, motions: Sequence[str] = (), first: int = 0) -> list[FamilySpec]:
        """Episodes ``first`` to ``first + n`` of this split; with ``motions`` in turn, else half meant to succeed.

        Raises:
            BadInput: one of its verbs does not know one of the motions.
        """
        for verb in self.verbs:
            if not set(motions) <= set(VERBS[verb].motions):
                raise BadInput("kinds", list(motions), f"some of {list(VERBS[verb].motions)}, those of {verb!r}")
        return [self._spec(index, motions) for index in range(first, first + n)]

    def _spec(self, index: int, motions: Sequence[str]) -> FamilySpec:
        rng = np.random.default_rng((self.first_seed, index))
        verb = VERBS[self.verbs[rng.integers(len(self.verbs))]]
        plain = self.background == "trained" and rng.random() < PLAIN_SHARE
        camera = "nominal" if plain else self.cameras[rng.integers(len(self.cameras))]
        look = draw_look(rng, camera, "nominal" if plain else self.background)
        instruction = self._instruction(rng, verb.wording.names_container, verb.name)
        forms = verb.wording.forms(self.paraphrases)
        sentence = instruction.sentence(forms[rng.integers(len(forms))])
        scene = draw_scene(rng, instruction, sentence, look, OBJECTS[self.others], CONTAINERS[self.others])
        motion, style = draw_motion(rng, verb)
        return FamilySpec(self.first_seed + index, scene, motions[index % len(motions)] if motions else motion, style)

    def _instruction(self, rng: np.random.Generator, with_container: bool, verb: str) -> Instruction:
        things, containers = OBJECTS[self.objects], CONTAINERS[self.containers]
        while True:
            pair = things[rng.integers(len(things))], containers[rng.integers(len(containers))]
            if not with_container:
                return Instruction(verb, pair[0])
            if pair not in tasks.HELD_OUT_PAIRS and colour_of(pair[0]) != colour_of(pair[1]):
                return Instruction(verb, *pair)


_TRAINED = Split(
    FAMILY_TRAIN_SEEDS,
    verbs=("put", "put", *TRAINED_VERBS),
    objects="trained",
    containers="trained",
    others="trained",
    cameras=("trained",),
    background="trained",
    paraphrases="trained",
)
_DEMO = Split(FAMILY_HELD_OUT_SEEDS)
_HELD_OUT = {
    "family_calibration": _TRAINED,
    "family_seeds": _TRAINED,
    "demo_world": _DEMO,
    "held_out_objects": replace(_DEMO, objects="new_shape"),
    "held_out_object_colours": replace(_DEMO, objects="new_colour"),
    "held_out_painted_objects": replace(_DEMO, objects="new_painting"),
    "held_out_containers": replace(_DEMO, containers="new_shape"),
    "held_out_container_colours": replace(_DEMO, containers="new_colour"),
    "held_out_painted_containers": replace(_DEMO, containers="new_painting"),
    "held_out_cameras": replace(_DEMO, cameras=HELD_OUT_CAMERAS),
    **{f"held_out_camera_{name}": replace(_DEMO, cameras=(name,)) for name in HELD_OUT_CAMERAS},
    "held_out_backgrounds": replace(_DEMO, background="held_out"),
    "held_out_paraphrases": replace(_DEMO, paraphrases="held_out"),
    "held_out_verbs": replace(_DEMO, verbs=HELD_OUT_VERBS),
    **{f"verb_{name}": replace(_DEMO, verbs=(name,)) for name in VERBS},
}
_SEEDS_EACH = SEED_RANGE // 100

SPLITS: dict[str, Split] = {
    "family": _TRAINED,
    **{
        name: replace(split, first_seed=FAMILY_HELD_OUT_SEEDS + index * _SEEDS_EACH)
        for index, (name, split) in enumerate(_HELD_OUT.items())
    },
}
"""By name. ``family`` is the training part, ``family_seeds`` the same on fresh seeds; ``demo_world`` is unchanged."""

assert len(SPLITS) <= 100
