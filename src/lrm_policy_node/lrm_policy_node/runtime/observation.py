"""Puts one image of every camera and one joint state of the same moment together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrm_core.frame_buffer import FrameBuffer
from lrm_core.frames import CameraFrame
from lrm_core.protocols import STATE

JOINTS = "joint_states"

_HORIZON_S = 2.0
_MAX_BYTES = 64 * 1024 * 1024
_MAX_JOINT_STATES = 200


@dataclass(frozen=True)
class Observation:
    """What the robot saw and felt at one moment.

    Attributes:
        stamp_ns: stamp of the first camera's image, nanoseconds.
        images: camera -> (H, W, 3) uint8 RGB; sizes may differ.
        joints: (J,) float32 positions in command order, rad; gripper opening m.
    """

    stamp_ns: int
    images: dict[str, np.ndarray]
    joints: np.ndarray

    def for_policy(self) -> dict[str, np.ndarray]:
        """The mapping that :class:`lrm_core.protocols.Policy` takes."""
        return {**self.images, STATE: self.joints}


class ObservationBuffer:
    """The newest inputs of every stream, bounded, joined by stamp.

    Args:
        joint_names: joints in command order.
        tolerance_s: how far apart the stamps of one observation may be, seconds; 0: equal stamps.
    """

    def __init__(self, joint_names: Sequence[str], tolerance_s: float) -> None:
        self._names = tuple(joint_names)
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._frames: dict[str, FrameBuffer] = {}
        self._joints: deque[tuple[int, np.ndarray]] = deque(maxlen=_MAX_JOINT_STATES)
        self.joints_fault = ""
        """Why the newest joint state is unusable; empty while it is good."""

    def watch(self, cameras: Sequence[str]) -> None:
        """Look through these cameras from now on; the first one gives an observation its stamp."""
        self._frames = {camera: FrameBuffer(_HORIZON_S, _MAX_BYTES) for camera in cameras}

    def add_frame(self, frame: CameraFrame) -> bool:
        """Take an image. True when its stamp went back: the clock jumped, and everything older is forgotten."""
        newest = self._frames[frame.camera].latest()
        jumped = newest is not None and frame.stamp_ns < newest.stamp_ns - self._tolerance_ns
        if jumped:
            self.clear()
        self._frames[frame.camera].add(frame)
        return jumped

    def add_joints(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> bool:
        """Take a joint state. True when its stamp went back. One that is not usable sets :attr:`joints_fault`."""
        jumped = bool(self._joints) and stamp_ns < self._joints[-1][0]
        if jumped:
            self.clear()
        values = dict(zip(names, positions, strict=False))
        self.joints_fault = _fault(self._names, values)
        if not self.joints_fault:
            self._joints.append((stamp_ns, np.array([values[name] for name in self._names], dtype=np.float32)))
        return jumped

    def newest(self, after_ns: int = -1) -> Observation | None:
        """The newest complete observation with a stamp after ``after_ns``; None while there is none."""
        first = next((frames.latest() for frames in self._frames.values()), None)
        if first is None or first.stamp_ns <= after_ns or not self._joints:
            return None
        frames = {camera: seen.at(first.stamp_ns, self._tolerance_ns) for camera, seen in self._frames.items()}
        images = {camera: frame.rgb for camera, frame in frames.items() if frame is not None}
        stamp_ns, joints = min(self._joints, key=lambda entry: abs(entry[0] - first.stamp_ns))
        if len(images) < len(frames) or abs(stamp_ns - first.stamp_ns) > self._tolerance_ns:
            return None
        return Observation(first.stamp_ns, images, joints)

    def missing(self, after_ns: int) -> str:
        """The stream that has brought nothing after ``after_ns``; ``stamps`` when all have, but far apart."""
        for camera, frames in self._frames.items():
            newest = frames.latest()
            if newest is None or newest.stamp_ns <= after_ns:
                return camera
        if not self._joints or self._joints[-1][0] <= after_ns - self._tolerance_ns:
            return JOINTS
        return "stamps"

    def clear(self) -> None:
        """Forget everything."""
        for frames in self._frames.values():
            frames.clear()
        self._joints.clear()


def _fault(names: tuple[str, ...], values: dict[str, float]) -> str:
    for name in names:
        if name not in values:
            return f"joint_states has no position of {name}"
        if not math.isfinite(values[name]):
            return f"joint_states says {name} is {values[name]}: expected a finite number"
    return ""
