"""From a query to what a backend asks: the head's prompt and its pictures, each checked. Knows no model library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.prompts import Prompt

MIN_SIDE_PX, MAX_PIXELS = 16, 2**26
"""Smallest side and largest area of a picture that is asked about: 8K is half of it."""
MAX_ASPECT = 200
"""Longer strips are refused by Qwen's image processor too."""
MAX_ENCODED_PIXELS = 2**22
"""A larger picture is shrunk to this area before it is encoded: 4096 tokens of 32 x 32 pixels with Qwen3-VL."""


@dataclass(frozen=True)
class Row:
    """One query, ready to be batched: head, prompt and its pictures in order."""

    head: RewardHead
    prompt: Prompt
    images: tuple[np.ndarray, ...]


def query_row(query: RewardQuery) -> Row:
    """Prompt and pictures of a query.

    Raises:
        BadInput: the task or a picture cannot be used.
    """
    given = {"initial": query.reference is not None, "goal": query.goal is not None}
    pictures = {"goal": query.goal, "current": query.current}
    pictures |= {"initial": query.reference, "previous": query.reference}
    images = tuple(checked_picture(pictures[name]) for name in prompts.image_order(query.head, **given))
    return Row(query.head, prompts.build(query.head, query.task, **given), images)


def checked_picture(image: np.ndarray | None) -> np.ndarray:
    """``image``, when a model can be asked about it.

    Raises:
        BadInput: no (H, W, 3) uint8 array, or its size is out of bounds.
    """
    if image is None or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = None if image is None else f"{image.dtype} {image.shape}"
        raise BadInput("image", found, "(H, W, 3) uint8 RGB")
    height, width = image.shape[:2]
    size = f"{width} x {height} pixels"
    if min(height, width) < MIN_SIDE_PX:
        raise BadInput("image", size, f"at least {MIN_SIDE_PX} pixels on each side")
    if height * width > MAX_PIXELS:
        raise BadInput("image", size, f"at most {MAX_PIXELS} pixels in all", "Set a smaller image size in the camera.")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise BadInput("image", size, f"a long side of at most {MAX_ASPECT} times the short one")
    return image
