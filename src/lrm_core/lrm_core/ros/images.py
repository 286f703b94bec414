"""sensor_msgs/Image and numpy: CvBridge's methods and encodings, the installed ``cv_bridge`` where there is one.

Both ways refuse a bad message with :class:`BadInput` before anything is read, so that a wrong size, step or encoding
gives the same answer on every machine.
"""

from __future__ import annotations

import array
import contextlib
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.ros import picture_files, stamps
from lrm_core.ros.pixel_formats import ENCODINGS, FIX, OURS, PICTURES, opencv_type, recode

try:
    from cv_bridge import CvBridge as InstalledBridge
    from cv_bridge import CvBridgeError as InstalledError
except ImportError:
    InstalledBridge = None


def check(msg: Image) -> None:
    """Raise :class:`BadInput` when encoding, size, step or length of ``msg`` do not fit each other."""
    if msg.encoding not in ENCODINGS:
        raise BadInput("image encoding", msg.encoding, f"one of {list(PICTURES)}", FIX)
    layout = ENCODINGS[msg.encoding]
    if fault := layout.fault(msg.width, msg.height):
        raise fault
    row = msg.width * layout.channels * np.dtype(layout.dtype).itemsize
    if msg.step < row:
        raise BadInput("image step", msg.step, f"at least {row} bytes for {msg.width} pixels of {msg.encoding}")
    rows = layout.stored_rows(msg.height)
    if len(msg.data) != msg.step * rows:
        expected = f"step x rows = {msg.step} x {rows} = {msg.step * rows} bytes"
        raise BadInput("length of image data", len(msg.data), expected)


class ImageBridge:
    """CvBridge's four methods on numpy and OpenCV alone. Arrays are (H, W) or (H, W, C); nv12 and nv21 (3/2 H, W)."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """Pixels of a message, in native byte order; shares the message's memory when nothing has to be changed.

        Raises:
            BadInput: the message is inconsistent, or there is no conversion to ``desired_encoding``.
        """
        check(img_msg)
        return recode(_pixels(img_msg), img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = "passthrough", header: Header | None = None) -> Image:
        """A message of pixels; ``passthrough`` names the encoding after OpenCV's type, for example ``8UC3``.

        Raises:
            BadInput: the array does not have the type or the channels of ``encoding``.
        """
        name = opencv_type(cvim) if encoding == "passthrough" else encoding
        _check_array(cvim, name)
        pixels = np.ascontiguousarray(cvim)
        height = round(pixels.shape[0] / ENCODINGS[name].planes)
        msg = Image(height=height, width=pixels.shape[1], encoding=name, step=pixels[0].nbytes)
        msg.is_bigendian = int(sys.byteorder == "big")
        if header is not None:
            msg.header = header
        # From an array rclpy copies 900 kB in 30 us; from numpy it goes through every element (37 ms).
        msg.data = array.array("B", pixels.tobytes())
        return msg

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """Decoded JPEG or PNG; ``passthrough`` is bgr8, as OpenCV decodes.

        Raises:
            BadInput: not a complete JPEG or PNG file, too many pixels, or no colours (compressed depth).
        """
        name = cmprs_img_msg.format
        compressed, separator, _ = name.partition(";")  # image_transport writes "rgb8; jpeg compressed bgr8"
        if separator and compressed in ENCODINGS and compressed not in PICTURES:
            raise BadInput("image encoding", compressed, f"one of {list(PICTURES)}", FIX)
        pixels = picture_files.decode(np.frombuffer(cmprs_img_msg.data, np.uint8), name)
        return recode(pixels, "bgr8", desired_encoding)

    def cv2_to_compressed_imgmsg(self, cvim: np.ndarray, dst_format: str = "jpg") -> CompressedImage:
        """Encode bgr8 or mono8 pixels as ``jpg`` or ``png``."""
        encoded, data = cv2.imencode(f".{dst_format}", cvim)
        if not encoded:
            raise BadInput("image format", dst_format, "jpg or png")
        msg = CompressedImage(format={"jpg": "jpeg"}.get(dst_format, dst_format))
        msg.data = array.array("B", data.tobytes())
        return msg


class _CheckedInstalledBridge(ImageBridge):
    """The installed ``cv_bridge`` behind the same checks; what it does not convert, we convert or refuse."""

    def __init__(self) -> None:
        self._installed = InstalledBridge()

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        check(img_msg)
        if img_msg.encoding not in OURS:
            with contextlib.suppress(InstalledError):
                return np.asarray(self._installed.imgmsg_to_cv2(img_msg, desired_encoding))
        return super().imgmsg_to_cv2(img_msg, desired_encoding)


def bridge() -> ImageBridge:
    """The installed ``cv_bridge`` where there is one, else :class:`ImageBridge`."""
    return ImageBridge() if InstalledBridge is None else _CheckedInstalledBridge()


def to_camera_frame(msg: Image | CompressedImage, camera: str) -> CameraFrame:
    """The frame of a raw or compressed image message, RGB, with the header's stamp.

    Raises:
        BadInput: naming the camera, the field, its value and what is allowed.
    """
    try:
        if isinstance(msg, CompressedImage):
            rgb = _BRIDGE.compressed_imgmsg_to_cv2(msg, "rgb8")
        else:
            rgb = _BRIDGE.imgmsg_to_cv2(msg, "rgb8")
    except BadInput as error:
        raise BadInput(f"camera {camera}: {error.field}", error.value, error.allowed, error.fix) from error
    return CameraFrame(np.ascontiguousarray(rgb), stamps.to_ns(msg.header.stamp), camera, msg.header.frame_id)


def _pixels(msg: Image) -> np.ndarray:
    layout = ENCODINGS[msg.encoding]
    dtype = np.dtype(layout.dtype).newbyteorder(">" if msg.is_bigendian else "<")
    rows = np.frombuffer(msg.data, np.uint8).reshape(-1, msg.step)
    used = rows[:, : msg.width * layout.channels * dtype.itemsize]
    # A view of another item size needs contiguous rows; without padding this copies nothing.
    pixels = np.ascontiguousarray(used).view(dtype).astype(layout.dtype, copy=False)
    return pixels.reshape(len(rows), msg.width, layout.channels) if layout.channels > 1 else pixels


def _check_array(pixels: np.ndarray, encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise BadInput("image encoding", encoding, f"one of {list(ENCODINGS)}")
    layout = ENCODINGS[encoding]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or pixels.size == 0 or channels != layout.channels or pixels.dtype != layout.dtype:
        value = f"{pixels.dtype} {pixels.shape}"
        raise BadInput("image array", value, f"{np.dtype(layout.dtype)} (H, W) x {layout.channels} for {encoding}")
    rows = pixels.shape[0]
    height = round(rows / layout.planes)
    if layout.stored_rows(height) != rows:
        raise BadInput("image array", f"{rows} rows", f"{layout.planes} rows for each of the picture")
    if fault := layout.fault(pixels.shape[1], height):
        raise fault


_BRIDGE = bridge()
