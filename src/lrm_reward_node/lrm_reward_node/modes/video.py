"""What the modes that watch a video share: which frames, at which times, and no number where there is no answer."""

from __future__ import annotations

import abc
import logging
import time
from collections.abc import Sequence

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardEstimate, RewardStatus
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.modes.mode import ModeSpec, Window
from lrm_reward_node.prompts import check_task
from lrm_reward_node.readout import Reading, estimate, failed
from lrm_reward_node.rows import checked_picture

logger = logging.getLogger(__name__)


def select(frames: Sequence[CameraFrame], limit: int) -> tuple[CameraFrame, ...]:
    """At most ``limit`` frames, evenly spread, the first and the last among them (limit 1: the last)."""
    if len(frames) <= limit:
        return tuple(frames)
    if limit == 1:
        return (frames[-1],)
    return tuple(frames[i] for i in np.linspace(0, len(frames) - 1, limit).round().astype(int))


def times_s(frames: Sequence[CameraFrame]) -> list[float]:
    """Time of each frame after the first one, seconds."""
    return [(frame.stamp_ns - frames[0].stamp_ns) / 1e9 for frame in frames]


class VideoMode(abc.ABC):
    """A :class:`RewardMode` over the newest video window; sub-classes implement :meth:`read`."""

    def __init__(self, spec: ModeSpec, fingerprint: str) -> None:
        self.spec, self.fingerprint = spec, fingerprint

    @abc.abstractmethod
    def read(self, task: str, frames: Sequence[CameraFrame]) -> Reading:
        """What the model says of ``frames``, (H, W, 3) uint8 RGB of one size, oldest first. May raise."""

    def score(self, window: Window) -> RewardEstimate:
        """The estimate of the window's last frame; whatever goes wrong in the model is a MODEL_ERROR."""
        frames = select(window.video or (window.current,), self.spec.needs.video_frames)
        started = time.perf_counter()
        try:
            _check(window.task, frames)
            reading = self._in_range(self.read(window.task, frames))
        except BadInput as error:
            reading = failed(str(error))
        except Exception as error:  # a model raises what it likes; its frame is UNKNOWN
            logger.exception("reward mode %s failed", self.spec.name)
            reading = failed(f"{type(error).__name__}: {error}")
        current, reference_stamp_ns = window.current, frames[0].stamp_ns if len(frames) > 1 else 0
        query = RewardQuery(
            self.spec.head, window.task, current.rgb, current.stamp_ns, reference_stamp_ns=reference_stamp_ns
        )
        return estimate(query, reading, time.perf_counter() - started, self.fingerprint)

    def _in_range(self, reading: Reading) -> Reading:
        if reading.status is RewardStatus.OK and not self.spec.low <= reading.value <= self.spec.high:
            text = f"{reading.value} is outside [{self.spec.low}, {self.spec.high}]"
            return failed(text)
        return reading


def _check(task: str, frames: Sequence[CameraFrame]) -> None:
    check_task(task)
    for frame in frames:
        image = checked_picture(frame.rgb)
        if image.shape != frames[0].rgb.shape:
            raise BadInput("image", image.shape, f"the size of the video's first frame, {frames[0].rgb.shape}")
