"""The two cameras of the scene, rendered off screen."""

from __future__ import annotations

import os

import mujoco
import numpy as np

from lrm_core.errors import LrmError
from lrm_sim.placement import Layout
from lrm_sim.scene import CAMERAS


class Cameras:
    """Renders the front and the wrist camera, and varies them, the lamp and the colours per episode.

    Attributes:
        images: newest image by camera, (size, size, 3) uint8 RGB. Reused: copy what you keep.
        colours: nominal colours (geoms, 4) RGBA, from which :meth:`vary` starts.
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        self._model, self._size = model, size
        self._renderer: mujoco.Renderer | None = None
        self._positions, self._quats = model.cam_pos.copy(), model.cam_quat.copy()
        self._lamp, self.colours = model.light_pos.copy(), model.geom_rgba.copy()
        self.images = {name: np.zeros((size, size, 3), np.uint8) for name in CAMERAS}

    def vary(self, layout: Layout) -> None:
        """Apply light, camera and colour jitter of a scene to the model, from its nominal values."""
        model = self._model
        for i, name in enumerate(CAMERAS):
            camera = model.camera(name).id
            model.cam_pos[camera] = self._positions[camera] + layout.camera_offsets_m[i]
            mujoco.mju_copy(model.cam_quat[camera], self._quats[camera])
            mujoco.mju_quatIntegrate(model.cam_quat[camera], layout.camera_turns_rad[i], 1.0)
        model.light_pos[:] = self._lamp + layout.lamp_offset_m
        model.light_diffuse[:] = layout.lamp_diffuse
        gains = layout.colour_gains[model.geom_bodyid]
        model.geom_rgba[:, :3] = np.clip(self.colours[:, :3] * gains, 0.0, 1.0)

    def aim(self, name: str, position_m: np.ndarray, quat: np.ndarray, fovy_deg: float) -> None:
        """Give a camera another nominal place, from which :meth:`vary` starts.

        Args:
            name: of the camera.
            position_m: (3,) in the frame of the body that carries it.
            quat: (4,) w, x, y, z.
            fovy_deg: vertical field of view.
        """
        camera = self._model.camera(name).id
        self._positions[camera], self._quats[camera] = position_m, quat
        self._model.cam_fovy[camera] = fovy_deg

    def render(self, data: mujoco.MjData) -> None:
        """Render both cameras into :attr:`images`."""
        renderer = self._renderer or self._open()
        for name, image in self.images.items():
            renderer.update_scene(data, camera=name)
            renderer.render(out=image)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _open(self) -> mujoco.Renderer:
        # The first image opens the context, so that physics alone needs no OpenGL.
        try:
            self._renderer = mujoco.Renderer(self._model, self._size, self._size)
        except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
            fix = "Install libegl1 and libgl1-mesa-dri, or set MUJOCO_GL=osmesa and install libosmesa6."
            raise LrmError(f"no off-screen OpenGL (MUJOCO_GL={os.environ.get('MUJOCO_GL')}): {error}. {fix}") from error
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        return self._renderer
