"""The cameras of the reward node: their newest frames, and how each of them does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from lrm_core.errors import BadInput
from lrm_core.frame_buffer import FrameBuffer
from lrm_core.frames import CameraFrame
from lrm_core.robot import CameraSpec
from lrm_core.ros.camera import CameraSubscription
from lrm_core.ros.diagnostics import ERROR, Report, StreamTask
from lrm_core.ros.lifecycle import LrmLifecycleNode
from lrm_reward_node.params import RewardParams
from lrm_reward_node.schedule import ArrivedFrame


class CameraInput:
    """One camera: a subscription, a buffer and a task for diagnostics.

    Args:
        node: the node that listens.
        params: transport, buffer and limits.
        camera: its name and topic.
        on_frame: called with every good frame once it is in the buffer; the second argument is the stamp of the
            frame before it, nanoseconds, when the clock went back, else None.
        on_bad: called with the reason for every image that cannot be used.
    """

    def __init__(
        self,
        node: LrmLifecycleNode[RewardParams],
        params: RewardParams,
        camera: CameraSpec,
        on_frame: Callable[[ArrivedFrame, int | None], None],
        on_bad: Callable[[str], None],
    ) -> None:
        self.frames: FrameBuffer[ArrivedFrame] = FrameBuffer(params.buffer_s, params.buffer_mb * 1_000_000)
        self._on_frame, self._on_bad = on_frame, on_bad
        self._bad_images = self._bad_images_reported = 0
        self._bad_image = ""
        # A lock-step clock stands still between two frames, so that only the deadline of a query tells a lost camera.
        self._stream = StreamTask(node, params.min_camera_hz, math.inf if params.lockstep else params.deadline_s)
        self._subscription = CameraSubscription(
            node, camera, transport=params.transport, lockstep=params.lockstep, on_frame=self._take,
            on_bad=self._refuse,
        )  # fmt: skip

    def destroy(self) -> None:
        """Stop listening."""
        self._subscription.destroy()

    def report(self) -> Report:
        """For diagnostics."""
        report = self._stream()
        report.values |= {"bad_images": self._bad_images, "dropped_frames": self.frames.dropped}
        if self._bad_images > self._bad_images_reported:
            report.raise_to(ERROR, f"images cannot be used: {self._bad_image}")
        self._bad_images_reported = self._bad_images
        return report

    def _take(self, frame: CameraFrame, transport_s: float) -> None:
        arrived = ArrivedFrame(
            frame.rgb, frame.stamp_ns, frame.camera, frame.frame_id, arrived_s=time.monotonic(), transport_s=transport_s
        )
        before = self.frames.latest()
        went_back = self.frames.add(arrived)
        self._stream.tick(frame.stamp_ns)
        self._on_frame(arrived, before.stamp_ns if before and went_back else None)

    def _refuse(self, error: BadInput) -> None:
        self._bad_images += 1
        self._bad_image = str(error)
        self._on_bad(self._bad_image)
