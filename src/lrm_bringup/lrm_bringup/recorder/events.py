"""What comes to the recorder: serialized messages, and marks of where episodes start and end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from lrm_bringup.recorder.bag import Topic
from lrm_core.episodes import succeeded

OBSERVATIONS = ("Image", "CompressedImage", "CameraInfo", "JointState")
"""Types of sensor_msgs that an episode starts from."""


@dataclass(frozen=True)
class Message:
    """One serialized message.

    Attributes:
        topic: where it came from.
        stamp_ns: wall time of its arrival, nanoseconds.
        data: CDR.
    """

    topic: Topic
    stamp_ns: int
    data: bytes

    @property
    def observed_ns(self) -> int:
        """Stamp of an observation, nanoseconds; 0 for other messages."""
        package, _, name = self.topic.msgtype.partition("/msg/")
        return header_ns(self.data) if package == "sensor_msgs" and name in OBSERVATIONS else 0


class Phase(Enum):
    """What an episode status means to the recorder."""

    RUNS = "runs"
    OVER = "over"


@dataclass(frozen=True)
class Mark:
    """An episode started, or ended with ``outcome``, at wall time ``stamp_ns``, nanoseconds.

    Attributes:
        phase: runs or over.
        episode_id: unique name.
        outcome: a name of ``TerminationReason``; empty until it is known.
        stamp_ns: wall time, nanoseconds.
        start_ns: stamp of its reset frame; 0 while not known.
        end_ns: stamp of its last frame; 0 while not known.
        task: task sentence.
        seed: scene seed; -1: none.
        mode: ``evaluate`` or ``refine``.
        weights_version: residual weights it ran with; 0: base policy alone.
    """

    phase: Phase
    episode_id: str
    outcome: str = ""
    stamp_ns: int = 0
    start_ns: int = 0
    end_ns: int = 0
    task: str = ""
    seed: int = -1
    mode: str = ""
    weights_version: int = 0

    @property
    def confirmed_success(self) -> bool | None:
        """Did the reward model, or a person, confirm success? None for an episode without an end of its own."""
        return succeeded(self.outcome)


def header_ns(data: bytes) -> int:
    """The stamp, nanoseconds, of a serialized message that begins with a header; 0 when it is too short."""
    if len(data) < 12:
        return 0
    sec, nanosec = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)
