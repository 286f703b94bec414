"""The encodings of sensor_msgs/image_encodings: how their pixels lie in memory, and how they become colour pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from lrm_core.errors import BadInput

MAX_PIXELS = 2**26
"""Largest image that is taken: 8K (7680 x 4320) is half of it."""


@dataclass(frozen=True)
class Layout:
    """Pixels of one encoding in memory.

    Attributes:
        dtype: of one number.
        channels: numbers per pixel.
        even_width, even_height: colour is kept for pairs of pixels.
        planes: rows in memory per row of the picture: 3/2 where a plane of colour at half the size follows.
        least: smallest side, pixels.
    """

    dtype: type[np.generic]
    channels: int
    even_width: bool = False
    even_height: bool = False
    planes: float = 1.0
    least: int = 1

    def stored_rows(self, height: int) -> int:
        """Rows in memory of a picture of ``height`` rows."""
        return int(height * self.planes)

    def fault(self, width: int, height: int) -> BadInput | None:
        """Why there can be no image of this size, or None."""
        for name, size, even in (("height", height, self.even_height), ("width", width, self.even_width)):
            if size < self.least:
                return BadInput(f"image {name}", size, f"at least {self.least} pixel{'s' * (self.least > 1)}")
            if even and size % 2:
                return BadInput(f"image {name}", size, "an even number of pixels")
        if width * height > MAX_PIXELS:
            fix = "Set a smaller image size in the camera."
            return BadInput("image size", f"{width} x {height}", f"at most {MAX_PIXELS} pixels", fix)
        return None


TYPES: dict[str, type[np.generic]] = {
    "8U": np.uint8, "8S": np.int8, "16U": np.uint16, "16S": np.int16, "32S": np.int32, "32F": np.float32,
    "64F": np.float64,
}  # fmt: skip
"""OpenCV's names of number formats."""

_COLOUR = {"rgb": "RGB", "bgr": "BGR", "rgba": "RGBA", "bgra": "BGRA", "mono": "GRAY"}
TARGETS = {f"{name}8": code for name, code in _COLOUR.items()}
"""Encodings that pictures can be converted to, with OpenCV's name."""
_CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GRAY": 1}

# ROS names the first four pixels, OpenCV the second pixel of the second and third row.
_BAYER = {"bayer_rggb": "BayerBG", "bayer_bggr": "BayerRG", "bayer_gbrg": "BayerGR", "bayer_grbg": "BayerGB"}
_RAW_CODES = {f"{name}8": f"{code}2RGB" for name, code in _BAYER.items()} | {
    "uyvy": "YUV2RGB_UYVY", "yuv422": "YUV2RGB_UYVY", "yuyv": "YUV2RGB_YUY2", "yuv422_yuy2": "YUV2RGB_YUY2",
    "nv12": "YUV2RGB_NV12", "nv21": "YUV2RGB_NV21",
}  # fmt: skip
"""What first has to become RGB, by the names of sensor_msgs since Iron and before it."""

_PACKED, _PLANAR = Layout(np.uint8, 2, even_width=True), Layout(np.uint8, 1, True, True, planes=1.5)

PICTURES = {
    **{f"{name}8": Layout(np.uint8, _CHANNELS[code]) for name, code in _COLOUR.items()},
    **{f"{name}16": Layout(np.uint16, _CHANNELS[code]) for name, code in _COLOUR.items()},
    **{f"{name}8": Layout(np.uint8, 1, least=3) for name in _BAYER},
    **{f"{name}16": Layout(np.uint16, 1, least=3) for name in _BAYER},
    **dict.fromkeys(("uyvy", "yuv422", "yuyv", "yuv422_yuy2"), _PACKED),
    **dict.fromkeys(("nv12", "nv21"), _PLANAR),
}
"""Encodings that say what their colours are, so that they can be read as a picture. Bayer patterns smaller than 3 x 3
have no pixel with all its neighbours: OpenCV makes them black.
"""

ENCODINGS = PICTURES | {
    f"{name}C{channels}": Layout(dtype, channels) for name, dtype in TYPES.items() for channels in (1, 2, 3, 4)
}
"""Encodings that can be read as they are; those added here, such as ``32FC1`` of depth cameras, name no colours."""

OURS = frozenset({"uyvy", "yuyv", "nv12", "nv21"})
"""Encodings that not every ``cv_bridge`` knows."""

FIX = "Set the encoding of the camera driver, name its colour stream, or put image_proc between them."


def recode(pixels: np.ndarray, encoding: str, desired: str) -> np.ndarray:
    """Pixels of one encoding in another one; 16 bit are scaled to 8.

    Args:
        pixels: (H, W) or (H, W, C) as :data:`ENCODINGS` says; (3/2 H, W) for nv12 and nv21.
        encoding: what they are.
        desired: one of :data:`TARGETS`, or ``passthrough``.

    Raises:
        BadInput: there is no such conversion.
    """
    if desired in ("passthrough", encoding):
        return pixels
    if encoding not in PICTURES or desired not in TARGETS:
        raise BadInput("image encoding", encoding, f"one of {list(PICTURES)} to be read as {desired}", FIX)
    if pixels.dtype == np.uint16:
        pixels, encoding = cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0), f"{encoding.removesuffix('16')}8"
    if encoding in _RAW_CODES:
        pixels, encoding = _converted(pixels, _RAW_CODES[encoding]), "rgb8"
    return pixels if encoding == desired else _converted(pixels, f"{TARGETS[encoding]}2{TARGETS[desired]}")


def _converted(pixels: np.ndarray, code: str) -> np.ndarray:
    number: Any = getattr(cv2, f"COLOR_{code}")
    return np.asarray(cv2.cvtColor(pixels, number))


def opencv_type(pixels: np.ndarray) -> str:
    """OpenCV's name of an array's type, for example ``8UC3``; numpy's where OpenCV has none."""
    names = {np.dtype(dtype): name for name, dtype in TYPES.items()}
    return f"{names.get(pixels.dtype, pixels.dtype)}C{pixels.shape[2] if pixels.ndim == 3 else 1}"
