"""JPEG and PNG files in messages: whole, of a bounded size, and decoded without an exception of the decoder's own."""

from __future__ import annotations

import cv2
import numpy as np

from lrm_core.errors import BadInput
from lrm_core.ros.pixel_formats import MAX_PIXELS

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""Markers of JPEG without a length."""


def decode(data: np.ndarray, name: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a file; 16 bit keep their upper half.

    Args:
        data: (n,) uint8, the file.
        name: what the sender calls its format, for the error.

    Raises:
        BadInput: not a complete JPEG or PNG file, or one of too many pixels.
    """
    raw = data.tobytes()
    size = _size(raw)
    if size is None:
        raise BadInput("compressed image", f"{name}, {data.size} bytes", "a complete JPEG or PNG file")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:  # before anything is decoded: a small file may say it is huge
        raise BadInput("compressed image", f"{size[0]} x {size[1]}", f"at most {MAX_PIXELS} pixels, and at least one")
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadInput("compressed image", name, "a JPEG or PNG file that can be decoded", error.err) from error
    if pixels is None:
        raise BadInput("compressed image", name, "a JPEG or PNG file that can be decoded")
    return np.asarray(pixels)


def _size(raw: bytes) -> tuple[int, int] | None:
    """Width and height as the header says; None for what is no whole file.

    OpenCV decodes truncated files without a word, grey where data is missing: the ends tell.
    """
    end = raw.rstrip(b"\0")[-32:]  # some drivers send a buffer of fixed size, with zeros behind the file
    if raw.startswith(b"\xff\xd8") and end.endswith(b"\xff\xd9"):
        return _jpeg_size(raw)
    if raw.startswith(b"\x89PNG\r\n\x1a\n") and raw[12:16] == b"IHDR" and b"IEND" in end:
        return int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])
    return None


def _jpeg_size(raw: bytes) -> tuple[int, int] | None:
    """From the frame header (ITU-T T.81, B.2.2): the first of the segments that are one."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker in _FRAME_HEADERS:
            return int.from_bytes(raw[at + 7 : at + 9]), int.from_bytes(raw[at + 5 : at + 7])
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(raw[at + 2 : at + 4])
    return None
