"""Pictures that stand in a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

_THUMB_PX = 128


def data_uri(rgb: np.ndarray) -> str:
    """A small JPEG of (H, W, 3) uint8 RGB as a data URI."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    image.thumbnail((_THUMB_PX, _THUMB_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
