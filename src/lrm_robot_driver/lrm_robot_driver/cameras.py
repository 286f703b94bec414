"""LeRobot's ``Camera`` as a device: every new frame, and how old it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lrm_core.errors import BadInput, first_line
from lrm_core.robot import CameraSpec, RobotContract
from lrm_robot_driver import loading

OnFrame = Callable[[np.ndarray, float], None]
"""Takes (H, W, 3) uint8 RGB and its age in seconds."""


class LeRobotCamera:
    """Hands every new frame to ``on_frame``, on the thread that calls :meth:`step`.

    Args:
        contract: the robot, for messages.
        spec: the camera in the robot's file.
        options: LeRobot's configuration of it.
        timeout_s: no frame for so long is an error.
        on_frame: what to do with a frame.
    """

    def __init__(
        self, contract: RobotContract, spec: CameraSpec, options: Mapping[str, Any], timeout_s: float, on_frame: OnFrame
    ) -> None:
        self._config = loading.camera_config(contract, spec, options)
        self._spec, self._timeout_ms, self._on_frame = spec, 1e3 * timeout_s, on_frame
        self._camera: Any = None

    def open(self) -> None:
        """Connect.

        Raises:
            BadInput: there is no such camera, or it gives other colours or another size.
        """
        from lerobot.cameras import make_cameras_from_configs

        name = self._spec.name
        try:
            self._camera = make_cameras_from_configs({name: self._config})[name]
            self._camera.connect()
            frame = self._camera.async_read(timeout_ms=self._timeout_ms)
        except Exception as error:
            fix = "lerobot-find-cameras lists what there is; set lerobot.cameras in the robot's file."
            allowed = f"a camera that gives frames ({first_line(error)})"
            raise BadInput(f"camera {name}", self._config.type, allowed, fix) from error
        self._check(frame)

    def step(self) -> None:
        """Wait for the next frame; raises what LeRobot raises when none comes."""
        frame = self._camera.async_read(timeout_ms=self._timeout_ms)
        # Not part of LeRobot's interface, but its cameras note when they took the newest frame (time.perf_counter).
        taken_s = getattr(self._camera, "latest_timestamp", None)
        self._on_frame(frame, 0.0 if taken_s is None else max(0.0, time.perf_counter() - taken_s))

    def close(self) -> None:
        """Disconnect, whatever state it is in."""
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):
                camera.disconnect()

    def _check(self, frame: np.ndarray) -> None:
        name, mode = self._spec.name, getattr(getattr(self._camera, "color_mode", None), "value", "rgb")
        if mode != "rgb" or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise BadInput(f"camera {name}", f"{mode} {frame.dtype} {frame.shape}", "rgb uint8 (H, W, 3)")
        width, height = self._spec.width or frame.shape[1], self._spec.height or frame.shape[0]
        if frame.shape[:2] != (height, width):
            fix = f"Change cameras, or width and height of lerobot.cameras.{name}, in the robot's file."
            raise BadInput(f"size of camera {name}", f"{frame.shape[1]}x{frame.shape[0]}", f"{width}x{height}", fix)
