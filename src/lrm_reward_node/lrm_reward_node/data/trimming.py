"""Where something happens in an episode: idle starts and ends would be labelled as progress by the clock."""

from __future__ import annotations

import numpy as np

SHARE = 0.1
"""A step counts as motion when it is at least this share of a brisk step of the same episode (its 90th percentile)."""
STATE_FLOOR = 1e-4
"""Steps below this are noise of the encoders, rad or m."""
PICTURE_FLOOR = 3.0
"""Change below so many grey levels, of 255, is noise of the camera, or its compression."""
_CELLS = 4
"""Cells of a 16x16 thumbnail whose change counts, the largest: the arm may be a small part of the picture."""


def motion_of_states(states: np.ndarray) -> np.ndarray:
    """(K - 1,) how far the state moved between neighbouring frames; states (K, J) in units of their own.

    Every joint counts relative to its own range, so that a gripper in metres is seen beside joints in radians.
    """
    span = np.ptp(states, axis=0)
    steps = np.abs(np.diff(states, axis=0))
    moving = span > STATE_FLOOR
    relative = steps[:, moving] / span[moving]
    return relative.max(axis=1) if moving.any() else np.zeros(len(steps))


def motion_of_pictures(thumbnails: np.ndarray) -> np.ndarray:
    """(K - 1,) change between neighbouring thumbnails (K, 16, 16) uint8, in grey levels; 0 where it is noise."""
    cells = np.abs(np.diff(thumbnails.astype(np.float32), axis=0)).reshape(len(thumbnails) - 1, -1)
    change = np.sort(cells, axis=1)[:, -_CELLS:].mean(axis=1)
    return np.where(change < PICTURE_FLOOR, 0.0, change)


def active_span(motion: np.ndarray) -> tuple[int, int] | None:
    """First and last frame of the part in which something moves, from the motion between frames (K - 1,).

    The frame before the first motion is its start, the frame after the last one its end. None: nothing moves.
    """
    if not len(motion) or not (motion > 0.0).any():
        return None
    brisk = float(np.quantile(motion[motion > 0.0], 0.9))
    active = np.flatnonzero(motion >= SHARE * brisk)
    return int(active[0]), int(active[-1]) + 1
