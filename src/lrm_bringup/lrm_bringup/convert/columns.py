"""The columns of an exported dataset, and one row of them.

``observation.*`` and ``action`` are named as everywhere in LeRobot. ``reward.*`` of a row are about the frame of that
row. ``next.*`` are, as LeRobot means it, about the frame that its action led to: that of the next row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lrm_bringup.convert.episode import NOT_ASKED, Aligned
from lrm_bringup.convert.pieces import Slot
from lrm_core.features import image_key
from lrm_core.rewards import RewardHead, RewardStatus

HEADS = tuple(head.value for head in RewardHead)
STATE, ACTION, STAMP, OUTCOME, STATUS = "observation.state", "action", "stamp_ns", "outcome", "reward.status"
UNKNOWN_OUTCOME = "unknown"
Columns = dict[str, dict[str, Any]]


def score_column(head: str) -> str:
    """Column of what a head said about the row's own frame."""
    return f"reward.{head}"


def features(
    shapes: dict[str, tuple[int, ...]], joints: tuple[str, ...], commanded: tuple[str, ...], use_videos: bool
) -> Columns:
    """The columns in LeRobot's form.

    Args:
        shapes: camera -> (H, W, 3).
        joints: names in the order of the state.
        commanded: names in the order of the action.
        use_videos: cameras as video, else as PNG.
    """
    kind = "video" if use_videos else "image"
    image = {"dtype": kind, "names": ["height", "width", "channels"]}
    number = {"dtype": "float32", "shape": (1,), "names": None}
    flag = {"dtype": "bool", "shape": (1,), "names": None}
    return {
        **{image_key(camera): {**image, "shape": shape} for camera, shape in shapes.items()},
        STATE: {"dtype": "float32", "shape": (len(joints),), "names": list(joints)},
        ACTION: {"dtype": "float32", "shape": (len(commanded),), "names": list(commanded)},
        "next.reward": dict(number), "next.reward_valid": dict(flag), "next.done": dict(flag),
        "next.success": dict(flag), "next.success_valid": dict(flag),
        **{score_column(head): dict(number) for head in HEADS},
        STATUS: {"dtype": "int64", "shape": (len(HEADS),), "names": list(HEADS)},
        OUTCOME: {"dtype": "string", "shape": (1,), "names": None},
        STAMP: {"dtype": "int64", "shape": (1,), "names": None},
    }  # fmt: skip


def row(aligned: Aligned, slot: Slot, head: str, success: bool | None) -> dict[str, Any]:
    """One frame for ``LeRobotDataset.add_frame``.

    Args:
        aligned: the episode.
        slot: the slot of the row.
        head: whose score of the next frame is ``next.reward``.
        success: of the episode; None: unknown.
    """
    at, after = slot.number, slot.number + 1
    status = int(aligned.statuses[head][after]) if slot.goes_on else NOT_ASKED
    # The row whose action led to the last frame, and that frame's own.
    ends = aligned.episode.complete and (after if slot.goes_on else at) == len(aligned.slots_ns) - 1
    stamps = next(iter(aligned.frames_ns.values()))
    return {
        **{image_key(camera): rgb for camera, rgb in slot.pictures.items()},
        STATE: aligned.states[at], ACTION: aligned.actions[at],
        "next.reward": np.array([aligned.values[head][after] if slot.goes_on else np.nan], np.float32),
        "next.reward_valid": np.array([status == RewardStatus.OK]),
        "next.done": np.array([ends]),
        "next.success": np.array([bool(success) and ends]),
        "next.success_valid": np.array([success is not None]),
        **{score_column(name): aligned.values[name][at : at + 1] for name in HEADS},
        STATUS: np.array([aligned.statuses[name][at] for name in HEADS]),
        OUTCOME: aligned.episode.outcome or UNKNOWN_OUTCOME,
        STAMP: stamps[at : at + 1],
        "task": aligned.episode.task,
    }  # fmt: skip
