"""Changes of pictures that attacks are made of. Pictures are (H, W, 3) uint8 RGB; nothing is changed in place."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

PAPER_RGB = (236, 234, 228)


def noisy(frames: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """``frames`` (..., H, W, 3) with the noise of a sensor, standard deviation in grey levels of 255."""
    return _uint8(frames + rng.normal(0.0, sigma, frames.shape)) if sigma > 0.0 else frames.copy()


def relit(frames: np.ndarray, gain: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """``frames`` (Q, H, W, 3) under another light.

    Args:
        gain: (3,) factor per colour channel.
        slope: (2,) relative change of brightness from the middle to the lower and to the right edge.
    """
    height, width = frames.shape[1:3]
    down, right = np.linspace(-1.0, 1.0, height)[:, None], np.linspace(-1.0, 1.0, width)[None]
    ramp = np.maximum(1.0 + slope[0] * down + slope[1] * right, 0.0)
    return _uint8(frames * (ramp[..., None] * gain))


def photo(picture: np.ndarray, width: int) -> np.ndarray:
    """A print of ``picture``, ``width`` pixels wide, on white paper."""
    from PIL import Image

    border = max(1, round(0.04 * width))
    inner = max(1, width - 2 * border), max(1, round((width - 2 * border) * picture.shape[0] / picture.shape[1]))
    small = np.asarray(Image.fromarray(picture).resize(inner, Image.Resampling.BILINEAR))
    sheet = np.full((small.shape[0] + 2 * border, small.shape[1] + 2 * border, 3), PAPER_RGB, np.uint8)
    sheet[border:-border, border:-border] = small
    return sheet


def pasted(frame: np.ndarray, sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    """``frame`` with ``sheet`` held into it, upper left corner at (row, column), which may lie outside."""
    result = frame.copy()
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + sheet.shape[0], frame.shape[0]), min(column + sheet.shape[1], frame.shape[1])
    if top < bottom and left < right:
        result[top:bottom, left:right] = sheet[top - row : bottom - row, left - column : right - column]
    return result


def covered(frame: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], rgb: np.ndarray) -> np.ndarray:
    """``frame`` with a shaded, soft-edged ellipse in front of it; centre and radii are (row, column), pixels."""
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
    away = np.hypot((rows - centre[0]) / radii[0], (columns - centre[1]) / radii[1])[..., None]
    cover = np.clip((1.0 - away) * min(radii) + 0.5, 0.0, 1.0)
    shaded = rgb * (1.1 - 0.35 * np.minimum(away, 1.0) ** 2)
    return _uint8(frame * (1.0 - cover) + shaded * cover)


def motion_centres(frames: np.ndarray, threshold: float = 24.0) -> list[tuple[float, float]]:
    """Per frame (Q, H, W, 3) where something moved since the one before: (row, column) of the changed pixels' centre.

    Without motion it is where it last was; the first frame takes that of the second.
    """
    height, width = frames.shape[1:3]
    centre, centres = (height / 2.0, width / 2.0), []
    for before, now in pairwise(frames):
        changed = np.argwhere(np.abs(now.astype(np.int16) - before).max(axis=-1) > threshold)
        if len(changed):
            centre = (float(changed[:, 0].mean()), float(changed[:, 1].mean()))
        centres.append(centre)
    return [centres[0] if centres else centre, *centres]


def slid(start: float, end: float, share: float) -> int:
    """Pixel on the way from ``start`` to ``end``, with a smooth step."""
    share = min(1.0, max(0.0, share))
    return round(start + (end - start) * (1.0 - math.cos(math.pi * share)) / 2.0)


def _uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
