"""The newest frames of one camera, bounded in time and bytes."""

from __future__ import annotations

from collections import deque

from lrm_core.frames import CameraFrame


class FrameBuffer[F: CameraFrame]:
    """Frames in the order of their stamps, found again by stamp.

    Frames are stored by reference. A stamp that goes back clears the buffer: the clock was reset, and frames of two
    clocks must not be mixed. A stamp that repeats is dropped.

    Args:
        horizon_s: frames older than this before the newest are dropped, seconds.
        max_bytes: bound of the pixels held; the oldest are dropped first, the newest is always kept.

    Attributes:
        dropped: frames that left before their time: a repeated stamp, or no room. Growing old is no drop.
    """

    def __init__(self, horizon_s: float, max_bytes: int) -> None:
        self._horizon_ns, self._max_bytes = round(horizon_s * 1e9), max_bytes
        self._frames: deque[F] = deque()
        self._bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held."""
        return self._bytes

    def add(self, frame: F) -> bool:
        """Take the next frame. True when its stamp went back: everything before it is then gone."""
        newest = self.latest()
        went_back = newest is not None and frame.stamp_ns < newest.stamp_ns
        if went_back:
            self.clear()
        elif newest is not None and frame.stamp_ns == newest.stamp_ns:
            self.dropped += 1
            return False
        self._frames.append(frame)
        self._bytes += frame.rgb.nbytes
        self._trim()
        return went_back

    def latest(self) -> F | None:
        """The newest frame."""
        return self._frames[-1] if self._frames else None

    def at(self, stamp_ns: int, tolerance_ns: int = 0) -> F | None:
        """The frame nearest to ``stamp_ns``, at most ``tolerance_ns`` away; the older one of two as near."""
        nearest = min(self._frames, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)
        return nearest if nearest is not None and abs(nearest.stamp_ns - stamp_ns) <= tolerance_ns else None

    def clear(self) -> None:
        """Forget all frames; the counts stay."""
        self._frames.clear()
        self._bytes = 0

    def _trim(self) -> None:
        oldest_ns = self._frames[-1].stamp_ns - self._horizon_ns
        while len(self._frames) > 1 and (self._frames[0].stamp_ns < oldest_ns or self._bytes > self._max_bytes):
            self.dropped += self._frames[0].stamp_ns >= oldest_ns
            self._bytes -= self._frames.popleft().rgb.nbytes
