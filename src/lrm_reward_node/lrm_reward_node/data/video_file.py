"""Frames of a video file with the times at which they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.episode_sources import Declared, Frame
from lrm_core.errors import BadInput

VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".webm")
_NS = 1_000_000_000


def declared_frames(path: Path) -> Declared:
    """What the container announces; raises :class:`BadInput` when it cannot be opened."""
    import cv2

    video = _opened(path)
    try:
        count, rate_hz = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()
    return Declared(max(0, count), rate_hz if 0.0 < rate_hz <= 1000.0 else 0.0)


def video_frames(path: Path) -> Iterator[Frame]:
    """Every frame that can be decoded; a file that is cut short just has fewer.

    Raises:
        BadInput: the file cannot be opened.
    """
    import cv2

    video = _opened(path)
    newest_ns = -1
    try:
        while True:
            readable, bgr = video.read()
            if not readable:
                return
            stamp_ns = round(video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)  # of the frame that was just read
            if stamp_ns <= newest_ns:  # a container without times
                stamp_ns = newest_ns + round(_NS / (video.get(cv2.CAP_PROP_FPS) or 30.0))
            newest_ns = stamp_ns
            yield Frame(stamp_ns, _reader(bgr))
    finally:
        video.release()


def _reader(bgr: np.ndarray) -> Any:
    return lambda: np.ascontiguousarray(bgr[..., ::-1])


def _opened(path: Path) -> Any:
    import cv2

    video = cv2.VideoCapture(str(path)) if path.is_file() else None
    if video is None or not video.isOpened():
        allowed = "a video file that can be decoded" if path.is_file() else "an existing video file"
        raise BadInput("video", str(path), allowed)
    return video
