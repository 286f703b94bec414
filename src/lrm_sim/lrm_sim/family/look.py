"""What the front camera, the table and the light of an episode look like, within named ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from lrm_core.errors import BadInput
from lrm_sim.catalog import Rgb
from lrm_sim.rendering import Cameras
from lrm_sim.scene import FRONT_FOVY_DEG, FRONT_POSITION_M, FRONT_TARGET_M, look_at

TABLE_RGB: Rgb = (0.42, 0.39, 0.36)
_HEADLIGHT = 0.42
_OFFSET_M = np.array(FRONT_POSITION_M) - np.array(FRONT_TARGET_M)

Range = tuple[float, float]


@dataclass(frozen=True)
class CameraRange:
    """How far the front camera may be from its nominal place, on a sphere around the middle of the table.

    Attributes:
        azimuth_deg: about the vertical, to either side.
        elevation_deg: added to the nominal 49 degrees.
        distance: factor on the nominal 0.64 m.
        fovy_deg: vertical field of view.
        roll_deg: about its own axis, to either side.
    """

    azimuth_deg: Range = (0.0, 0.0)
    elevation_deg: Range = (0.0, 0.0)
    distance: Range = (1.0, 1.0)
    fovy_deg: Range = (FRONT_FOVY_DEG, FRONT_FOVY_DEG)
    roll_deg: Range = (0.0, 0.0)


CAMERAS: dict[str, CameraRange] = {
    "nominal": CameraRange(),
    "trained": CameraRange((0.0, 15.0), (-6.0, 6.0), (0.94, 1.12), (38.0, 44.0), (0.0, 3.0)),
    "side": CameraRange((25.0, 40.0), (0.0, 0.0)),
    "high": CameraRange(elevation_deg=(12.0, 24.0)),
    "low": CameraRange(elevation_deg=(-18.0, -10.0)),
    "near": CameraRange(distance=(0.84, 0.90)),
    "far": CameraRange(distance=(1.25, 1.5)),
    "zoomed_out": CameraRange(fovy_deg=(48.0, 58.0)),
    "rolled": CameraRange(roll_deg=(6.0, 12.0)),
}
"""``nominal`` is the demo's; ``trained`` is drawn in training; the others lie outside of it."""
HELD_OUT_CAMERAS = tuple(name for name in CAMERAS if name not in ("nominal", "trained"))

BACKGROUNDS = ("nominal", "trained", "held_out")
_TRAINED_TABLES: tuple[Rgb, ...] = ((0.42, 0.39, 0.36), (0.55, 0.50, 0.44), (0.30, 0.30, 0.33), (0.50, 0.52, 0.50))
_HELD_OUT_TABLES: tuple[Rgb, ...] = ((0.62, 0.42, 0.24), (0.22, 0.34, 0.30), (0.30, 0.32, 0.50), (0.74, 0.72, 0.68))


@dataclass(frozen=True)
class Look:
    """Appearance of one episode; the default is the demo's.

    Attributes:
        azimuth_rad, elevation_rad, distance, roll_rad: front camera, see :class:`CameraRange`.
        fovy_deg: its vertical field of view.
        table_rgb: colour of the table.
        ambient: brightness of the light without direction, [0, 1].
    """

    azimuth_rad: float = 0.0
    elevation_rad: float = 0.0
    distance: float = 1.0
    roll_rad: float = 0.0
    fovy_deg: float = FRONT_FOVY_DEG
    table_rgb: Rgb = TABLE_RGB
    ambient: float = _HEADLIGHT

    @property
    def position_m(self) -> np.ndarray:
        """(3,) of the front camera, base frame."""
        radius = float(np.linalg.norm(_OFFSET_M)) * self.distance
        up = math.atan2(_OFFSET_M[2], _OFFSET_M[0]) + self.elevation_rad
        flat = radius * math.cos(up)
        out = np.array([flat * math.cos(self.azimuth_rad), flat * math.sin(self.azimuth_rad), radius * math.sin(up)])
        return np.array(FRONT_TARGET_M) + out

    def apply(self, cameras: Cameras, model: mujoco.MjModel, table: int) -> None:
        """Make ``cameras`` and the model nominally look like this; geom ``table`` is the table."""
        quat = look_at(self.position_m, np.array(FRONT_TARGET_M))
        mujoco.mju_quatIntegrate(quat, np.array([0.0, 0.0, 1.0]), self.roll_rad)
        cameras.aim("front", self.position_m, quat, self.fovy_deg)
        cameras.colours[table, :3] = self.table_rgb
        model.vis.headlight.ambient[:] = self.ambient


def draw_look(rng: np.random.Generator, camera: str = "nominal", background: str = "nominal") -> Look:
    """A look from a named range of cameras and of backgrounds.

    Raises:
        BadInput: there is no such range.
    """
    if camera not in CAMERAS:
        raise BadInput("camera", camera, f"one of {list(CAMERAS)}")
    if background not in BACKGROUNDS:
        raise BadInput("background", background, f"one of {list(BACKGROUNDS)}")
    chosen = CAMERAS[camera]
    sides = rng.choice((-1.0, 1.0), 2)
    table, ambient = _draw_background(rng, background)
    return Look(
        azimuth_rad=math.radians(sides[0] * rng.uniform(*chosen.azimuth_deg)),
        elevation_rad=math.radians(rng.uniform(*chosen.elevation_deg)),
        distance=rng.uniform(*chosen.distance),
        roll_rad=math.radians(sides[1] * rng.uniform(*chosen.roll_deg)),
        fovy_deg=rng.uniform(*chosen.fovy_deg),
        table_rgb=table,
        ambient=ambient,
    )


def _draw_background(rng: np.random.Generator, background: str) -> tuple[Rgb, float]:
    if background == "nominal":
        return TABLE_RGB, _HEADLIGHT
    tables = _TRAINED_TABLES if background == "trained" else _HELD_OUT_TABLES
    red, green, blue = np.clip(np.array(tables[rng.integers(len(tables))]) + rng.uniform(-0.05, 0.05, 3), 0.0, 1.0)
    ambient = rng.uniform(0.34, 0.52) if background == "trained" else rng.choice((0.26, 0.62))
    return (float(red), float(green), float(blue)), float(ambient)
