"""One camera as frames: raw or compressed, bad images refused, time on the way measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.robot import CameraSpec
from lrm_core.ros import images, qos


class CameraSubscription:
    """Subscribes the raw or the compressed images of one camera.

    Args:
        node: the node that listens.
        camera: its name, its topic, and whether it has compressed images alone.
        transport: ``raw`` or ``compressed``, of a camera that may have both.
        lockstep: the camera is a simulation that waits; no frame may be lost.
        on_frame: called with every good frame and its transport time in seconds, see :func:`transport_s`.
        on_bad: called with the reason for every image that cannot be used.
    """

    def __init__(
        self,
        node: Node,
        camera: CameraSpec,
        *,
        transport: str,
        lockstep: bool,
        on_frame: Callable[[CameraFrame, float], None],
        on_bad: Callable[[BadInput], None],
    ) -> None:
        self._node, self._camera, self._on_frame, self._on_bad = node, camera.name, on_frame, on_bad
        compressed = "compressed" in (transport, camera.encoding)
        topic = camera.image_topic + ("/compressed" if compressed else "")
        msg_type = CompressedImage if compressed else Image
        self._subscription = node.create_subscription(msg_type, topic, self._on_image, qos.camera(lockstep))

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _on_image(self, msg: Image | CompressedImage, info: Mapping[str, Any]) -> None:
        transport = transport_s(info)
        try:
            frame = images.to_camera_frame(msg, self._camera)
        except BadInput as error:
            self._on_bad(error)
            return
        self._on_frame(frame, transport)


def transport_s(info: Mapping[str, Any]) -> float:
    """Seconds from publication of a message to now, from the transport's own wall time, so that it holds under
    simulated time too. NaN when the transport gives none, or the clocks of two machines do not compare.
    """
    published_ns = info.get("source_timestamp") or 0
    elapsed_s = (time.time_ns() - published_ns) / 1e9
    return elapsed_s if published_ns > 0 and elapsed_s >= 0.0 else math.nan
