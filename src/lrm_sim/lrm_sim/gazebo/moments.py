"""Moments of Gazebo: both images, joints and objects with one stamp, put together from topics on their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lrm_sim.gazebo.description import CONTROLLED
from lrm_sim.scene import CAMERAS

_DEPTH = 32


@dataclass(frozen=True)
class Motion:
    """Place and speed of an object: position (3,) m and quaternion (4,) w x y z in the base frame, m/s."""

    position: np.ndarray
    quat: np.ndarray
    speed_m_per_s: float


@dataclass(frozen=True)
class Moment:
    """What Gazebo showed at one time.

    Attributes:
        stamp_ns: simulated time of both images.
        images: by camera, (H, W, 3) uint8 RGB.
        positions: joints (7,) in the order of ``CONTROLLED``, rad and m; ``velocities`` likewise per second.
        objects: by name.
    """

    stamp_ns: int
    images: dict[str, np.ndarray]
    positions: np.ndarray
    velocities: np.ndarray
    objects: dict[str, Motion]


class Moments:
    """Joins streams by their stamps. Bounded; nothing older than the newest moment is given out.

    The images decide: when all have the same stamp, joints and objects are those nearest to it, at most
    ``tolerance_ns`` away. Images without a twin are dropped and counted.
    """

    def __init__(self, objects: Iterable[str], tolerance_ns: int) -> None:
        self.tolerance_ns = tolerance_ns
        self.dropped = 0
        self._taken_ns = -1
        self._images: dict[str, dict[int, np.ndarray]] = {name: {} for name in CAMERAS}
        self._joints: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=_DEPTH)
        self._poses: dict[str, deque[tuple[int, np.ndarray, np.ndarray]]] = {
            name: deque(maxlen=_DEPTH) for name in objects
        }

    def image(self, camera: str, stamp_ns: int, rgb: np.ndarray) -> None:
        """Take an image; of a camera the newest few are kept."""
        if stamp_ns <= self._taken_ns:
            self.dropped += 1
            return
        waiting = self._images[camera]
        waiting[stamp_ns] = rgb
        while len(waiting) > 4:
            del waiting[min(waiting)]
            self.dropped += 1

    def joints(
        self, stamp_ns: int, names: Iterable[str], positions: Iterable[float], velocities: Iterable[float]
    ) -> None:
        """Take joint states, in any order, among others. States that lack a joint are dropped and counted."""
        found = {name: pair for name, *pair in zip(names, positions, velocities, strict=False)}
        if not found.keys() >= set(CONTROLLED):
            self.dropped += 1
            return
        values = np.array([found[name] for name in CONTROLLED])
        self._joints.append((stamp_ns, values[:, 0], values[:, 1]))

    def pose(self, name: str, stamp_ns: int, position: np.ndarray, quat: np.ndarray) -> None:
        """Take the place of an object."""
        self._poses[name].append((stamp_ns, position, quat))

    def take(self) -> Moment | None:
        """The newest moment that is whole and was not taken yet; None when there is none."""
        shared = set.intersection(*(set(waiting) for waiting in self._images.values()))
        for stamp_ns in sorted(shared, reverse=True):
            joints = self._nearest(self._joints, stamp_ns)
            objects = {name: self._motion(name, stamp_ns) for name in self._poses}
            motions = {name: motion for name, motion in objects.items() if motion is not None}
            if joints is not None and len(motions) == len(objects):
                images = {name: waiting[stamp_ns] for name, waiting in self._images.items()}
                self._forget(stamp_ns)
                return Moment(stamp_ns, images, joints[1], joints[2], motions)
        return None

    def clear(self) -> None:
        """Forget everything: time has gone back."""
        self._taken_ns = -1
        for waiting in self._images.values():
            waiting.clear()
        for samples in (self._joints, *self._poses.values()):
            samples.clear()

    def _nearest(
        self, samples: deque[tuple[int, np.ndarray, np.ndarray]], stamp_ns: int
    ) -> tuple[int, np.ndarray, np.ndarray] | None:
        best = min(samples, key=lambda sample: abs(sample[0] - stamp_ns), default=None)
        return best if best is not None and abs(best[0] - stamp_ns) <= self.tolerance_ns else None

    def _motion(self, name: str, stamp_ns: int) -> Motion | None:
        samples = self._poses[name]
        here = self._nearest(samples, stamp_ns)
        if here is None:
            return None
        before = max((sample for sample in samples if sample[0] < here[0]), key=lambda sample: sample[0], default=None)
        if before is None:
            return None  # a speed needs two places
        speed = float(np.linalg.norm(here[1] - before[1])) / ((here[0] - before[0]) / 1e9)
        return Motion(here[1], here[2], speed)

    def _forget(self, stamp_ns: int) -> None:
        self._taken_ns = stamp_ns
        for waiting in self._images.values():
            older = [stamp for stamp in waiting if stamp <= stamp_ns]
            self.dropped += len(older) - 1
            for stamp in older:
                del waiting[stamp]
