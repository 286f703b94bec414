"""One scene of the family: what is asked for, what else stands there, and how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lrm_sim import tasks
from lrm_sim.family.look import Look
from lrm_sim.family.sentences import Instruction
from lrm_sim.family.things import CONTAINERS, OBJECTS, colour_of


@dataclass(frozen=True)
class Scene:
    """Everything about a scene but places and turns, which come from its seed.

    Attributes:
        instruction: verb, object, and container where the sentence names one.
        sentence: the task sentence.
        container: the container that "in", "out of", "to" and "next to" mean, or just one that stands there.
        distractor_object, distractor_container: what else stands there.
        look: camera, table and light.
    """

    instruction: Instruction
    sentence: str
    container: str
    distractor_object: str
    distractor_container: str
    look: Look = field(default_factory=Look)


def draw_scene(
    rng: np.random.Generator,
    instruction: Instruction,
    sentence: str = "",
    look: Look | None = None,
    objects: Sequence[str] = OBJECTS["trained"],
    containers: Sequence[str] = CONTAINERS["trained"],
) -> Scene:
    """Complete an instruction with things of ``objects`` and ``containers``, all of different colours.

    A held-out pair of :mod:`lrm_sim.tasks` never becomes the object and the container of a scene that does not name it.
    """
    colours = {colour_of(instruction.object)} | ({colour_of(instruction.container)} if instruction.container else set())
    avoided = {c for o, c in tasks.HELD_OUT_PAIRS if o == instruction.object}
    container = instruction.container or _draw(rng, [c for c in containers if c not in avoided], colours)
    thing = _draw(rng, objects, colours)
    other = _draw(rng, containers, colours)
    return Scene(instruction, sentence or instruction.sentence(), container, thing, other, look or Look())


def _draw(rng: np.random.Generator, names: Sequence[str], colours: set[str]) -> str:
    """One of ``names`` whose colour is not in ``colours``, which then holds it."""
    free = [name for name in names if colour_of(name) not in colours]
    name = free[rng.integers(len(free))]
    colours.add(colour_of(name))
    return name
