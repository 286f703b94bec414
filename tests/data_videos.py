"""Real video files for tests of training sets: a square that rests, moves and rests, with exact times of its frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = 64


def pictures(count: int, idle: int = 0, seed: int = 0) -> list[np.ndarray]:
    """``count`` pictures (64, 64, 3); nothing moves in the first and the last ``idle`` of them."""
    rng = np.random.default_rng(seed)
    ground = np.repeat(np.repeat(rng.integers(0, 160, (8, 8, 3), np.uint8), 8, 0), 8, 1)
    share = np.clip((np.arange(count) - idle) / max(1, count - 1 - 2 * idle), 0.0, 1.0)
    return [_square(ground, round(float(one) * (SIZE - 24))) for one in share]


def _square(ground: np.ndarray, left: int) -> np.ndarray:
    picture = ground.copy()
    picture[20:44, left : left + 24] = (250, 240, 30)
    return picture


def write_video(
    path: Path, frames: Sequence[np.ndarray], times_ms: Sequence[int] | None = None, rate: int = 10
) -> Path:
    """Write an MP4 file; ``times_ms`` gives every frame its time, else they come ``rate`` a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=rate, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = times_ms[index] if times_ms is not None else index * 1000 // rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


TASKS = ("put the red cube in the blue bowl", "put the green cylinder in the blue bowl", "open the drawer")


def video_folder(folder: Path, count: int, frames: int = 21) -> Path:
    """``count`` clips with three tasks and both outcomes in turn, and their table; returns a manifest for them."""
    rows = []
    for index in range(count):
        name = f"clip-{index:03d}.mp4"
        write_video(folder / "clips" / name, pictures(frames, idle=2, seed=index))
        outcome = "success" if index % 3 else "failure"
        rows.append(
            {"file": name, "task": TASKS[index % len(TASKS)], "outcome": outcome, "scene": f"table {index % 4}"}
        )
    (folder / "clips" / "index.json").write_text(json.dumps(rows))
    manifest = folder / "manifest.yaml"
    manifest.write_text(
        "sources:\n  - kind: videos\n    path: clips\nframes: {rate_hz: 5}\nsplits: {train: 0.7, validation: 0.3}\n"
    )
    return manifest
