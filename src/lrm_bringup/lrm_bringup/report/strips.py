"""Film strips: the frames that were scored, read back from the recorded bags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrm_bringup.pages.pictures import data_uri

IMAGE_TOPIC = "front/image_raw"


def find_bag(bags: Sequence[str], episode_id: str) -> str | None:
    """The bag of an episode: the path whose folder or file is named after it."""
    for bag in bags:
        path = Path(bag)
        if episode_id in (path.stem, path.parent.name) or path.stem.startswith(f"{episode_id}_"):
            return bag
    return None


def film_strip(bag: Path, stamps_ns: Sequence[int], topic: str = IMAGE_TOPIC) -> list[tuple[int, str]]:
    """The frames of ``bag`` with the given stamps, as (stamp, data URI of a small JPEG), in order of time.

    Frames that the bag does not hold are left out: a gap in the film is the truth about the recording.
    """
    frames = read_frames(bag, set(stamps_ns), topic)
    return [(stamp_ns, data_uri(frames[stamp_ns])) for stamp_ns in sorted(frames)]


def read_frames(bag: Path, stamps_ns: set[int], topic: str = IMAGE_TOPIC) -> dict[int, np.ndarray]:
    """Stamp -> (H, W, 3) uint8 RGB of the images on ``topic`` (the end of the name: namespaces differ)."""
    from rosbags.highlevel import AnyReader

    frames: dict[int, np.ndarray] = {}
    with AnyReader([bag]) as reader:
        wanted = [c for c in reader.connections if c.topic.endswith(topic) and c.msgtype == "sensor_msgs/msg/Image"]
        for connection, _, raw in reader.messages(connections=wanted):
            message: Any = reader.deserialize(raw, connection.msgtype)
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            if stamp_ns in stamps_ns and message.encoding in ("rgb8", "bgr8"):
                rows = np.asarray(message.data, np.uint8).reshape(message.height, message.step)
                pixels = rows[:, : message.width * 3].reshape(message.height, message.width, 3)
                frames[stamp_ns] = pixels[..., ::-1] if message.encoding == "bgr8" else pixels
    return frames
