"""How a camera's frames came: its rate, and where frames are missing. From stamps alone, nothing is guessed."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

GAP_PERIODS = 1.5
"""Two frames that lie further apart than this many periods have a gap between them."""
_NAMED = 5
"""Gaps that are named; all of them are counted."""
_OTHER_RATE = 1.1


@dataclass
class CameraTiming:
    """The stamps of one camera, 8 bytes each, whatever the frames weigh.

    Attributes:
        frames: number of frames.
        repeated: frames with the stamp of the frame before; they are not scored.
        backwards: frames with an older stamp than the frame before.
    """

    frames: int = 0
    repeated: int = 0
    backwards: int = 0
    _first_ns: int = 0
    _stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    _breaks: set[int] = field(default_factory=set)

    def add(self, stamp_ns: int) -> None:
        """The next frame."""
        self.frames += 1
        before_ns = self._stamps_ns[-1] if self._stamps_ns else None
        if before_ns is None:
            self._first_ns = stamp_ns
        elif stamp_ns == before_ns:
            self.repeated += 1
            return
        elif stamp_ns < before_ns:
            self.backwards += 1
            self.pause()
        self._stamps_ns.append(stamp_ns)

    def pause(self) -> None:
        """What comes next is another episode: the time until then is no gap."""
        self._breaks.add(len(self._stamps_ns))

    @property
    def period_s(self) -> float:
        """Median time between two frames, seconds; 0: unknown, with fewer than three frames."""
        _, periods_ns = self._periods()
        return float(np.median(periods_ns)) / 1e9 if len(periods_ns) > 1 else 0.0

    @property
    def rate_hz(self) -> float:
        """Nominal rate; 0: unknown."""
        return 1.0 / self.period_s if self.period_s else 0.0

    def gaps(self) -> list[tuple[float, float]]:
        """(seconds after the first frame, length in seconds) of every stretch without frames."""
        at_ns, periods_ns = self._periods()
        wide = periods_ns > GAP_PERIODS * self.period_s * 1e9 if self.period_s else np.zeros(len(periods_ns), bool)
        return [(float(at), float(s)) for at, s in zip(at_ns[wide] / 1e9, periods_ns[wide] / 1e9, strict=True)]

    def missing(self) -> int:
        """Frames that the gaps have room for at the nominal rate."""
        return sum(round(length_s * self.rate_hz) - 1 for _, length_s in self.gaps())

    def as_json(self) -> dict[str, Any]:
        """Counts, the rate in Hz and the first gaps, seconds."""
        gaps = self.gaps()
        return {
            "frames": self.frames, "rate_hz": round(self.rate_hz, 3), "gaps": len(gaps), "missing": self.missing(),
            "repeated": self.repeated, "backwards": self.backwards,
            "first_gaps": [{"at_s": round(at_s, 3), "length_s": round(s, 3)} for at_s, s in gaps[:_NAMED]],
        }  # fmt: skip

    def __str__(self) -> str:
        rate = f" at {self.rate_hz:.3g} Hz" if self.rate_hz else ""
        return f"{self.frames} frame{'s' if self.frames != 1 else ''}{rate}"

    def _periods(self) -> tuple[np.ndarray, np.ndarray]:
        """Nanoseconds from the first frame to each frame but the last of an episode, and from it to the next one."""
        stamps_ns = np.array(self._stamps_ns, np.int64)
        kept = np.ones(max(0, len(stamps_ns) - 1), bool)
        kept[[i - 1 for i in self._breaks if 0 < i < len(stamps_ns)]] = False
        return (stamps_ns[:-1] - self._first_ns)[kept], np.diff(stamps_ns)[kept]


def problems(timings: Mapping[str, CameraTiming]) -> list[str]:
    """What is odd about the times of frames, one line each."""
    found: list[str] = []
    for camera, timing in timings.items():
        gaps = timing.gaps()
        if gaps:
            places = ", ".join(f"{s:.2f} s at {at_s:.2f} s" for at_s, s in gaps[:_NAMED])
            more = f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
            found.append(
                f"camera {camera}: {len(gaps)} gap{'s' if len(gaps) > 1 else ''} of more than {GAP_PERIODS:g} periods "
                f"({timing.period_s:.3g} s), room for {timing.missing()} frames: {places}{more}"
            )
        if timing.repeated:
            found.append(f"camera {camera}: {timing.repeated} frames repeat the stamp before; they are not scored")
        if not timing.frames:
            found.append(f"camera {camera}: no frame could be used")
    rates = {camera: timing.rate_hz for camera, timing in timings.items() if timing.rate_hz}
    if rates and max(rates.values()) > _OTHER_RATE * min(rates.values()):
        said = ", ".join(f"{camera} {rate:.3g} Hz" for camera, rate in rates.items())
        found.append(f"the cameras have different rates: {said}; each query takes the frame nearest to its time")
    return found
