"""Camera frames as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CameraFrame:
    """One image of one camera.

    Attributes:
        rgb: (H, W, 3) uint8, RGB order, contiguous.
        stamp_ns: time of the exposure from the message header, nanoseconds.
        camera: name of the camera, for example ``front``.
        frame_id: optical frame of the camera (REP-105), from the message header.
    """

    rgb: np.ndarray
    stamp_ns: int
    camera: str
    frame_id: str = ""
