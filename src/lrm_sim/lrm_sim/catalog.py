"""Shapes, sizes and colours of everything that can stand on the table. Lengths in metres.

The things of the demo have a shape and a colour each; the family (:mod:`lrm_sim.family`) paints every shape in every
colour. :func:`prism` and :func:`container` know both by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lrm_sim import tasks

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Prism:
    """An upright solid that can be picked from above: the union of boxes, or one cylinder.

    Attributes:
        rgb: colour.
        half_height_m: half its height.
        boxes: (half x, half y, yaw) of each box; empty for a cylinder.
        radius_m: radius of the cylinder; 0 when made of boxes.
        grasp_period_rad: the grasp is the same after a turn by this angle; 0: any angle will do.
        mass_kg: total mass.
        grasp_height_m: height of the tool centre point above what the solid stands on when it closes.
    """

    rgb: Rgb
    half_height_m: float
    boxes: tuple[tuple[float, float, float], ...] = ()
    radius_m: float = 0.0
    grasp_period_rad: float = 0.0
    mass_kg: float = 0.05
    grasp_height_m: float = 0.024


@dataclass(frozen=True)
class Wall:
    """One wall of a container: outward normal at ``angle_rad``, inner face ``apothem_m`` from the centre."""

    angle_rad: float
    apothem_m: float
    half_length_m: float


@dataclass(frozen=True)
class Container:
    """An open container: a convex floor and a wall on each side of it."""

    rgb: Rgb
    walls: tuple[Wall, ...]
    rim_m: float

    @property
    def outer_radius_m(self) -> float:
        """Radius of the smallest circle around the centre that holds the whole container."""
        return max(math.hypot(w.apothem_m + WALL_M, w.half_length_m) for w in self.walls)

    def contains(self, point: np.ndarray, margin_m: float = 0.0) -> bool:
        """True when ``point`` (2,), in the container's own frame, lies inside all walls by at least ``margin_m``."""
        return self.clearance_m(point) >= margin_m

    def clearance_m(self, point: np.ndarray) -> float:
        """Distance from ``point`` (2,), own frame, to the nearest inner wall face; negative outside."""
        reach = [w.apothem_m - point[0] * math.cos(w.angle_rad) - point[1] * math.sin(w.angle_rad) for w in self.walls]
        return float(min(reach))


WALL_M = 0.006
FLOOR_M = 0.004


def _polygon(sides: int, apothem_m: float) -> tuple[Wall, ...]:
    half = apothem_m * math.tan(math.pi / sides)
    return tuple(Wall(2 * math.pi * i / sides, apothem_m, half) for i in range(sides))


def _rectangle(half_x_m: float, half_y_m: float) -> tuple[Wall, ...]:
    halves = (half_x_m, half_y_m)
    return tuple(Wall(i * math.pi / 2, halves[i % 2], halves[(i + 1) % 2]) for i in range(4))


def _hexagon(half_width_m: float) -> tuple[tuple[float, float, float], ...]:
    return tuple((half_width_m, half_width_m / math.sqrt(3.0), i * math.pi / 3) for i in range(3))


PRISMS: dict[str, Prism] = {
    "red cube": Prism((0.85, 0.08, 0.08), 0.024, ((0.024, 0.024, 0.0),), grasp_period_rad=math.pi / 2),
    "green cylinder": Prism((0.08, 0.60, 0.16), 0.024, radius_m=0.0255),
    "yellow brick": Prism((0.95, 0.82, 0.08), 0.022, ((0.021, 0.034, 0.0),), grasp_period_rad=math.pi),
    "purple hexagon": Prism((0.50, 0.12, 0.68), 0.024, _hexagon(0.025), grasp_period_rad=math.pi / 3),
}
"""By name. The gripper closes along the local x axis, turned by any multiple of the grasp period."""

CONTAINERS: dict[str, Container] = {
    "blue bowl": Container((0.10, 0.28, 0.85), _polygon(8, 0.058), 0.034),
    "white box": Container((0.92, 0.92, 0.90), _rectangle(0.055, 0.055), 0.034),
    "orange tray": Container((0.95, 0.45, 0.05), _rectangle(0.066, 0.052), 0.027),
}

COLOURS: dict[str, Rgb] = {
    **{name.split()[0]: thing.rgb for name, thing in PRISMS.items()},
    **{name.split()[0]: thing.rgb for name, thing in CONTAINERS.items()},
    "pink": (0.95, 0.45, 0.68),
    "turquoise": (0.10, 0.72, 0.70),
    "brown": (0.36, 0.20, 0.08),
}
SHAPES: dict[str, Prism] = {
    **{name.split()[1]: thing for name, thing in PRISMS.items()},
    "bar": Prism((0.5, 0.5, 0.5), 0.020, ((0.016, 0.037, 0.0),), grasp_period_rad=math.pi, grasp_height_m=0.021),
    "pillar": Prism((0.5, 0.5, 0.5), 0.031, ((0.017, 0.017, 0.0),), grasp_period_rad=math.pi / 2, grasp_height_m=0.03),
    "disc": Prism((0.5, 0.5, 0.5), 0.014, radius_m=0.029, grasp_height_m=0.016),
}
"""Objects by the noun of their name; the colour is that of no thing."""
CONTAINER_SHAPES: dict[str, Container] = {
    **{name.split()[1]: thing for name, thing in CONTAINERS.items()},
    "dish": Container((0.5, 0.5, 0.5), _polygon(6, 0.060), 0.022),
    "basket": Container((0.5, 0.5, 0.5), _polygon(5, 0.055), 0.040),
}


def prism(name: str) -> Prism:
    """The object of a name such as ``red cube``, of the demo or any ``{colour} {shape}``; KeyError: there is none."""
    colour, shape = name.split()
    return PRISMS.get(name) or replace(SHAPES[shape], rgb=COLOURS[colour])


def container(name: str) -> Container:
    """The container of a name such as ``blue bowl``; KeyError: there is none."""
    colour, shape = name.split()
    return CONTAINERS.get(name) or replace(CONTAINER_SHAPES[shape], rgb=COLOURS[colour])


assert tuple(PRISMS) == tasks.OBJECTS
assert tuple(CONTAINERS) == tasks.CONTAINERS
