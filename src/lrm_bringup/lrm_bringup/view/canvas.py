"""A Rerun recording with the names, colours and layout that all runs share."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lrm_bringup.view.layout import ARRIVAL, STAMP, blueprint

if TYPE_CHECKING:
    import rerun as rr

_FIRST_WALL_NS = 10**17
"""Stamps below (before March 1973) come from a clock that began with the simulation."""
_COLOURS: Mapping[str, tuple[int, ...]] = {
    "progress": (37, 99, 235), "completion": (22, 163, 74), "contrastive": (217, 119, 6), "fused": (124, 58, 237),
    "truth": (15, 118, 110), "measured": (22, 163, 74), "command": (37, 99, 235), "proposed": (217, 119, 6, 90),
}  # fmt: skip
"""As on the pages, where both show the same."""
_WIDE = {"proposed": 4.0}
"""Below what is often equal to it."""


class Canvas:
    """Draws one run.

    Args:
        recording: where to.
        jpeg_quality: of camera pictures, 1 to 100.

    Attributes:
        cameras: entity paths of cameras drawn so far, in order.
        series: group of curves (entity path) -> number of points drawn so far.
        pictures: camera pictures drawn so far.
        depths: entity paths of depth images and clouds drawn so far, and how many.
    """

    def __init__(self, recording: rr.RecordingStream, jpeg_quality: int = 90) -> None:
        self.recording, self._quality = recording, jpeg_quality
        self.cameras: dict[str, int] = {}
        self.depths: dict[str, int] = {}
        self.series: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self._styled: set[str] = set()
        self._newest_ns = 0
        self._shown = (0, 0, 0, 0)

    @property
    def pictures(self) -> int:
        """Camera pictures drawn so far."""
        return sum(self.cameras.values())

    @property
    def is_empty(self) -> bool:
        """Nothing was drawn."""
        return not (self.cameras or self.depths or self.series or self.states)

    def at(self, stamp_ns: int, arrival_ns: int) -> None:
        """What is drawn next belongs to these times, nanoseconds; a stamp of 0 (none) to the newest stamp so far."""
        self._newest_ns = max(self._newest_ns, stamp_ns)
        known = stamp_ns or self._newest_ns
        if known >= _FIRST_WALL_NS:
            self.recording.set_time(STAMP, timestamp=np.datetime64(known, "ns"))
        else:
            self.recording.set_time(STAMP, duration=np.timedelta64(known, "ns"))
        self.recording.set_time(ARRIVAL, timestamp=np.datetime64(arrival_ns, "ns"))

    def picture(self, path: str, rgb: np.ndarray) -> None:
        """A camera picture, (H, W, 3) uint8 RGB."""
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=self._quality)
        self.encoded_picture(path, buffer.getvalue(), "image/jpeg")

    def encoded_picture(self, path: str, data: bytes, media_type: str) -> None:
        """A camera picture as the camera compressed it."""
        import rerun as rr

        self.recording.log(path, rr.EncodedImage(contents=data, media_type=media_type))
        self.cameras[path] = self.cameras.get(path, 0) + 1

    def depth(self, path: str, pixels: np.ndarray, units_per_m: float) -> None:
        """A depth image, (H, W) uint16 or float32."""
        import rerun as rr

        self.recording.log(path, rr.DepthImage(pixels, meter=units_per_m))
        self.depths[path] = self.depths.get(path, 0) + 1

    def cloud(self, path: str, points_m: np.ndarray, colours: np.ndarray | None) -> None:
        """Points (N, 3) in metres, with RGB (N, 3) uint8 where they have colours."""
        import rerun as rr

        self.recording.log(path, rr.Points3D(points_m, colors=colours))
        self.depths[path] = self.depths.get(path, 0) + 1

    def curve(self, group: str, name: str, value: float, dots: bool = False) -> None:
        """A point of the curve ``name`` in the plot ``group``. NaN is no value: a gap, never a number."""
        import rerun as rr

        path = f"{group}/{name}"
        if path not in self._styled:
            self._styled.add(path)
            self._style(path, name, dots)
        self.recording.log(path, rr.Scalars(float(value)))
        self.series[group] = self.series.get(group, 0) + 1

    def state(self, path: str, state: str) -> bool:
        """The state of something from now on; True when it differs from the one before."""
        import rerun as rr

        if self.states.get(path) == state:
            return False
        self.states[path] = state
        self.recording.log(path, rr.StateChange(state=state))
        return True

    def event(self, path: str, text: str, level: str = "INFO") -> None:
        """One line in the log of events; ``level`` is INFO, WARN or ERROR."""
        import rerun as rr

        self.recording.log(path, rr.TextLog(text, level=level))

    def show_layout(self) -> None:
        """Lay out what is there by now; does nothing when nothing new came since the last time."""
        shown = len(self.cameras), len(self.depths), len(self.series), len(self.states)
        if shown != self._shown:
            self._shown = shown
            self.recording.send_blueprint(blueprint(self), make_active=True, make_default=True)

    def _style(self, path: str, name: str, dots: bool) -> None:
        import rerun as rr

        look: dict[str, Any] = {"names": name}
        if name in _COLOURS:
            look["colors"] = [_COLOURS[name]]
        self.recording.log(path, rr.SeriesLines(widths=_WIDE.get(name, 1.5), **look), static=True)
        if dots:
            self.recording.log(path, rr.SeriesPoints(markers="circle", marker_sizes=3.0, **look), static=True)
