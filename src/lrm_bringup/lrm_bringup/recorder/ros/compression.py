"""Raw camera images as compressed ones, before they are written."""

from __future__ import annotations

import array
from collections.abc import Callable, Collection
from dataclasses import replace

import cv2
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from lrm_bringup.recorder.events import Message
from lrm_core.errors import BadInput
from lrm_core.ros import images

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_PIXELS = {"rgb8": "bgr8", "bgr8": "bgr8", "mono8": "mono8"}
"""Encodings that a JPEG or PNG file can hold -> what OpenCV encodes. Depth and others stay raw."""


class ImageCompression:
    """Turns ``…/image_raw`` into ``…/image_raw/compressed``, as ``image_transport`` names it.

    Args:
        codec: ``jpeg`` or ``png``.
        quality: of JPEG, 1 to 100.
        published: topics that somebody publishes; an image topic that has a compressed twin already stays raw.
        on_refused: told once per topic that stays raw, and why.
    """

    def __init__(
        self,
        codec: str,
        quality: int,
        published: Callable[[], Collection[str]] = tuple,
        on_refused: Callable[[str, str], None] = lambda topic, why: None,
    ) -> None:
        self._codec, self._published, self._on_refused = codec, published, on_refused
        self._options = [cv2.IMWRITE_JPEG_QUALITY, quality] if codec == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
        self._bridge = images.ImageBridge()
        self._raw: set[str] = set()

    def __call__(self, message: Message) -> Message:
        """``message``, compressed when it is a raw colour or grey image."""
        topic = message.topic
        if topic.msgtype != IMAGE or topic.name in self._raw:
            return message
        name = f"{topic.name}/compressed"
        try:
            if name in self._published():
                raise BadInput("image topic", topic.name, f"one without {name} beside it")
            data = bytes(serialize_message(self.compress(deserialize_message(message.data, Image))))
        except BadInput as error:
            self._raw.add(topic.name)
            self._on_refused(topic.name, str(error))
            return message
        return Message(replace(topic, name=name, msgtype=COMPRESSED), message.stamp_ns, data)

    def compress(self, msg: Image) -> CompressedImage:
        """One image, with its header.

        Raises:
            BadInput: it is inconsistent, or of an encoding that the codec does not hold.
        """
        if msg.encoding not in _PIXELS:
            raise BadInput("image encoding", msg.encoding, f"one of {list(_PIXELS)} to be compressed")
        pixels = self._bridge.imgmsg_to_cv2(msg, _PIXELS[msg.encoding])
        encoded, data = cv2.imencode(".jpg" if self._codec == "jpeg" else ".png", pixels, self._options)
        if not encoded:
            raise BadInput("image", f"{msg.width} x {msg.height}", f"one that {self._codec} can hold")
        described = f"{msg.encoding}; {self._codec} compressed {_PIXELS[msg.encoding]}"
        return CompressedImage(header=msg.header, format=described, data=array.array("B", data.tobytes()))
