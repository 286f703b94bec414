"""What depth cameras publish: depth images and point clouds, as numpy. Both refuse what is inconsistent."""

from __future__ import annotations

import array
from typing import Any, Literal

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField

from lrm_core.errors import BadInput
from lrm_core.ros.images import ImageBridge

UNITS_PER_M = {"16UC1": 1000.0, "32FC1": 1.0}
"""Encodings of depth images (REP 118) -> their units in a metre."""
_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 8: "<f8"}
"""PointField.datatype -> numpy, little endian."""
MAX_POINTS = 2**26
_BRIDGE = ImageBridge()


def depth_pixels(msg: Image) -> tuple[np.ndarray, float]:
    """A depth image as it is, (H, W) uint16 or float32, and its units in a metre; 0 and NaN mean: not known.

    Raises:
        BadInput: it is inconsistent, or of another encoding.
    """
    if msg.encoding not in UNITS_PER_M:
        raise BadInput("encoding of a depth image", msg.encoding, f"one of {list(UNITS_PER_M)}")
    return _BRIDGE.imgmsg_to_cv2(msg), UNITS_PER_M[msg.encoding]


def cloud_points(msg: Any, at_most: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray | None]:
    """Points and colours of a PointCloud2, or of an object with the same fields.

    Args:
        msg: the cloud.
        at_most: of a larger cloud evenly spread ones are taken.

    Returns:
        (N, 3) float32 in metres, in the frame of the header, without points that are not finite; and (N, 3) uint8 RGB,
        or None where the cloud has no colours.

    Raises:
        BadInput: sizes do not fit each other, or there is no x, y and z.
    """
    records = _records(msg)
    records = records[:: max(1, -(-len(records) // at_most))]
    xyz = np.stack([records[name].astype(np.float32) for name in ("x", "y", "z")], axis=-1)
    finite = np.isfinite(xyz).all(axis=1)
    colour = next((name for name in ("rgb", "rgba") if name in (records.dtype.names or ())), None)
    if colour is None or records.dtype[colour].itemsize != 4:
        return xyz[finite], None
    # 0xAARRGGBB, also where the field is called a float.
    field = np.ascontiguousarray(records[colour])[finite]
    packed = field.view(np.dtype("u4").newbyteorder(field.dtype.byteorder)).astype(np.uint32)
    return xyz[finite], np.stack([packed >> 16, packed >> 8, packed], axis=-1).astype(np.uint8)


def _records(msg: Any) -> np.ndarray:
    """(N,) structured array with the fields of the cloud; read by sensor_msgs_py where it is installed."""
    dtype, width, height = _dtype(msg), int(msg.width), int(msg.height)
    row = width * msg.point_step
    if width * height > MAX_POINTS or msg.row_step < row or len(msg.data) != msg.row_step * height:
        found = f"{width} x {height} points of {msg.point_step} bytes, rows of {msg.row_step}, {len(msg.data)} bytes"
        raise BadInput("point cloud", found, f"row_step x height bytes, rows of at least {row}, {MAX_POINTS} points")
    rows = np.frombuffer(memoryview(msg.data), np.uint8).reshape(height, msg.row_step)[:, :row]
    data = np.ascontiguousarray(rows).reshape(-1)
    try:
        from sensor_msgs_py.point_cloud2 import read_points
    except ImportError:
        return data.view(dtype)
    return np.asarray(read_points(_message(msg, row, data))).reshape(-1)


def _dtype(msg: Any) -> np.dtype[Any]:
    step = int(msg.point_step)
    order: Literal[">", "<"] = ">" if msg.is_bigendian else "<"
    formats = []
    for field in msg.fields:
        if field.datatype not in _TYPES:
            raise BadInput(f"datatype of the cloud's field {field.name}", field.datatype, f"one of {list(_TYPES)}")
        one = np.dtype(_TYPES[field.datatype]).newbyteorder(order)
        formats.append(one if field.count <= 1 else np.dtype((one, (int(field.count),))))
    names, offsets = [str(field.name) for field in msg.fields], [int(field.offset) for field in msg.fields]
    if not {"x", "y", "z"} <= set(names) or len(set(names)) < len(names):
        raise BadInput("fields of a point cloud", names, "x, y and z, each once")
    try:
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": step})
    except ValueError as error:
        raise BadInput("fields of a point cloud", offsets, f"offsets within {step} bytes", str(error)) from error


def _message(msg: Any, row: int, data: np.ndarray) -> PointCloud2:
    """The cloud without padding, as sensor_msgs_py takes it: a message of rclpy."""
    fields = [
        PointField(name=str(f.name), offset=int(f.offset), datatype=int(f.datatype), count=int(f.count))
        for f in msg.fields
    ]
    return PointCloud2(
        height=int(msg.height), width=int(msg.width), fields=fields, is_bigendian=bool(msg.is_bigendian),
        point_step=int(msg.point_step), row_step=row, data=array.array("B", data.tobytes()),
    )  # fmt: skip
