"""Several cameras, one verdict: what one head says about each camera's frame, put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, unknown
from lrm_core.robot import CameraSpec, load_robot


def check_cameras(cameras: Sequence[str], quorum: int) -> None:
    """Raise :class:`BadInput` unless there is a camera, no name comes twice, and the quorum can be reached."""
    names = [name.strip("/") for name in cameras]
    if not names or "" in names or len(set(names)) < len(names):
        raise BadInput("parameter cameras", list(cameras), "one or more names, each once", "For example [front].")
    if quorum > len(names):
        raise BadInput("parameter camera_quorum", quorum, f"0 (all) to {len(names)}, the number of cameras")


def camera_specs(cameras: Sequence[str], robot: str) -> list[CameraSpec]:
    """Where these cameras are: as the file of ``robot`` says, or ``<camera>/image_raw`` where none is named.

    Raises:
        BadInput: the file cannot be used, or it has no camera of that name.
    """
    if not robot:
        return [CameraSpec(name=name) for name in cameras]
    contract = load_robot(robot)
    return [contract.camera(name) for name in cameras]


def verdict(views: Mapping[str, RewardEstimate], quorum: int = 0) -> RewardEstimate:
    """One head's verdict over all cameras.

    * Completion is the smallest of the cameras' values: done means that every camera says so.
    * Contrastive and progress are the plain mean. Weights by confidence would move a difference of two scores, and so
      the reward, without anything moving in the scene, and a covered camera may well be confident.
    * UNKNOWN when fewer cameras than ``quorum`` know. The status is the largest number among theirs.

    One camera's verdict is its own estimate, unchanged. The order of the cameras does not matter.

    Args:
        views: camera -> estimate of the same head for the same query; not empty.
        quorum: cameras that have to know; 0: all of them.
    """
    if len(views) == 1:
        return next(iter(views.values()))
    known = {name: estimate for name, estimate in views.items() if estimate.ok}
    stamps: dict[str, Any] = {
        "stamp_ns": max(estimate.stamp_ns for estimate in views.values()),
        "reference_stamp_ns": max(estimate.reference_stamp_ns for estimate in views.values()),
    }
    if len(known) < min(quorum or len(views), len(views)):
        return _unknown({name: estimate for name, estimate in views.items() if not estimate.ok}, stamps)
    if next(iter(known.values())).head is RewardHead.COMPLETION:
        strictest = min(known, key=lambda name: (known[name].value, name))
        return replace(known[strictest], **stamps)
    return _mean(list(known.values()), stamps)


def _unknown(views: Mapping[str, RewardEstimate], stamps: dict[str, Any]) -> RewardEstimate:
    status = max(estimate.status for estimate in views.values())
    causes = ", ".join(f"{name} {views[name].status.name}" for name in sorted(views))
    head, fingerprint = (next(iter(views.values())).head, max(estimate.fingerprint for estimate in views.values()))
    return unknown(head, status, raw_text=causes, fingerprint=fingerprint, **stamps)


def _mean(known: Sequence[RewardEstimate], stamps: dict[str, Any]) -> RewardEstimate:
    """The mean; its uncertainty is the spread of all cameras' answers taken together, their disagreement included."""
    value = math.fsum(estimate.value for estimate in known) / len(known)
    variances = [estimate.uncertainty**2 + (estimate.value - value) ** 2 for estimate in known]
    return RewardEstimate(
        head=known[0].head,
        value=value,
        status=known[0].status,
        uncertainty=math.sqrt(math.fsum(variances) / len(known)),
        confidence=float(np.min([estimate.confidence for estimate in known])),
        latency_s=float(np.max([estimate.latency_s for estimate in known])),
        fingerprint=known[0].fingerprint,
        **stamps,
    )
