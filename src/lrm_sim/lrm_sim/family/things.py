"""Which colours, shapes and combinations of them are trained, and which are held out, axis by axis."""

from __future__ import annotations

from itertools import product

from lrm_sim import tasks
from lrm_sim.catalog import COLOURS, CONTAINER_SHAPES, SHAPES

HELD_OUT_COLOURS = ("turquoise", "brown")
"""Colours, and words, that training never shows on anything."""
HELD_OUT_SHAPES = ("pillar", "disc")
HELD_OUT_CONTAINER_SHAPES = ("basket",)
HELD_OUT_PAINTED_OBJECTS = ("orange cube", "pink cylinder", "blue brick", "white hexagon", "green bar")
"""Colour and shape are trained, never together."""
HELD_OUT_PAINTED_CONTAINERS = ("red bowl", "purple box", "yellow tray", "pink dish")

_COLOURS = tuple(c for c in COLOURS if c not in HELD_OUT_COLOURS)


def _painted(colours: tuple[str, ...], shapes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{colour} {shape}" for colour, shape in product(colours, shapes))


_SHAPES = tuple(s for s in SHAPES if s not in HELD_OUT_SHAPES)
_CONTAINER_SHAPES = tuple(s for s in CONTAINER_SHAPES if s not in HELD_OUT_CONTAINER_SHAPES)

OBJECTS: dict[str, tuple[str, ...]] = {
    "demo": tasks.OBJECTS,
    "trained": tuple(n for n in _painted(_COLOURS, _SHAPES) if n not in HELD_OUT_PAINTED_OBJECTS),
    "new_shape": _painted(_COLOURS, HELD_OUT_SHAPES),
    "new_colour": _painted(HELD_OUT_COLOURS, tuple(thing.split()[1] for thing in tasks.OBJECTS)),
    "new_painting": HELD_OUT_PAINTED_OBJECTS,
}
"""Names of the objects of each part of the axis; ``demo`` is a part of ``trained``, the others are held out."""
CONTAINERS: dict[str, tuple[str, ...]] = {
    "demo": tasks.CONTAINERS,
    "trained": tuple(n for n in _painted(_COLOURS, _CONTAINER_SHAPES) if n not in HELD_OUT_PAINTED_CONTAINERS),
    "new_shape": _painted(_COLOURS, HELD_OUT_CONTAINER_SHAPES),
    "new_colour": _painted(HELD_OUT_COLOURS, tuple(thing.split()[1] for thing in tasks.CONTAINERS)),
    "new_painting": HELD_OUT_PAINTED_CONTAINERS,
}


def colour_of(thing: str) -> str:
    """First word of a name."""
    return thing.split()[0]
