"""The frame buffer against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrm_core.frame_buffer import FrameBuffer
from lrm_core.frames import CameraFrame

FRAME_BYTES = 12


def frame(stamp_ns: int) -> CameraFrame:
    return CameraFrame(np.zeros((2, 2, 3), np.uint8), stamp_ns, "front")


stamps = st.lists(st.integers(0, 3_000_000_000), max_size=60)
growing = stamps.map(lambda values: sorted(set(values)))


@given(growing, st.integers(0, 3_000_000_000), st.integers(0, 10**9))
def test_the_nearest_frame_within_the_tolerance_is_found(values: list[int], wanted: int, tolerance: int) -> None:
    buffer: FrameBuffer[CameraFrame] = FrameBuffer(100.0, 10**9)
    for value in values:
        assert not buffer.add(frame(value))
    found = buffer.at(wanted, tolerance)
    near = [value for value in values if abs(value - wanted) <= tolerance]
    assert (found is not None) == bool(near)
    if found is not None:
        assert abs(found.stamp_ns - wanted) == min(abs(value - wanted) for value in near)


@given(stamps, st.floats(0.0, 2.0), st.integers(1, 10))
def test_it_never_holds_more_than_its_bounds_and_never_loses_the_newest(
    values: list[int], horizon_s: float, frames: int
) -> None:
    buffer: FrameBuffer[CameraFrame] = FrameBuffer(horizon_s, frames * FRAME_BYTES)
    for value in values:
        buffer.add(frame(value))
        newest = buffer.latest()
        assert newest is not None
        assert newest.stamp_ns == value
        assert buffer.nbytes == len(buffer) * FRAME_BYTES <= frames * FRAME_BYTES
        assert all(buffer.at(other) is None for other in values if other < value - horizon_s * 1e9 - 1)


@given(stamps)
def test_a_stamp_that_goes_back_clears_the_buffer_and_says_so(values: list[int]) -> None:
    buffer: FrameBuffer[CameraFrame] = FrameBuffer(100.0, 10**9)
    held: list[int] = []
    for value in values:
        back = bool(held) and value < held[-1]
        assert buffer.add(frame(value)) == back
        held = [value] if back else [*held, value] if not held or value > held[-1] else held
        assert len(buffer) == len(held)


def test_repeated_stamps_and_frames_without_room_are_counted_and_growing_old_is_not() -> None:
    buffer: FrameBuffer[CameraFrame] = FrameBuffer(1.0, 2 * FRAME_BYTES)
    for stamp_ns in (0, 0, 10, 20):
        buffer.add(frame(stamp_ns))
    assert buffer.dropped == 2
    buffer.add(frame(10**12))
    assert (buffer.dropped, len(buffer)) == (2, 1)
    buffer.clear()
    assert buffer.latest() is None
    assert buffer.nbytes == 0
