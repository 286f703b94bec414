"""Which of the robot's cameras a policy looks through, and under which feature it takes the image of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lrm_core.errors import BadInput
from lrm_core.features import IMAGE_PREFIX, camera_of
from lrm_core.protocols import STATE

_EMPTY_CAMERA = f"{IMAGE_PREFIX}empty_camera_"
"""Images that SmolVLA and pi0 make up themselves."""
_RESIZING = ("resize_imgs_with_padding", "image_resolution", "image_size")
"""A policy with one of these settings resizes images itself; the sizes in its features mean nothing."""


def cameras_for(wanted: tuple[str, ...], features: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    """The cameras that a policy looks through, in the order of ``features``, and the feature that each is given as.

    Args:
        wanted: image features of the policy.
        features: camera -> feature, of the robot; empty: every feature is from a camera of its own name.
        renamed: feature -> the policy's name of it, where its preprocessing renames.

    Raises:
        BadInput: a feature has no camera, or two.
    """
    given = {new: old for old, new in renamed.items()}
    known = dict(features) or {camera_of(one): one for one in (given.get(name, name) for name in wanted)}
    used = {camera: feature for camera, feature in known.items() if renamed.get(feature, feature) in wanted}
    found = [renamed.get(feature, feature) for feature in used.values()]
    told = ", ".join(f"{camera} ({feature})" for camera, feature in known.items())
    missing = [given.get(name, name) for name in wanted if name not in found]
    if missing or not wanted:
        fix = f"Of the robot's cameras, {told}, none is {missing or 'used'}. Give the one that shows the same "
        fix += "`feature: <name>` in the robot's file, or train a policy with the robot's cameras: lrm train policy."
        raise BadInput("images of the policy", list(wanted), "one camera of the robot for each", fix)
    if len(set(found)) < len(found) or STATE in used:
        raise BadInput("cameras of the robot", told, f"another feature for each, and none named {STATE!r}")
    return used


def image_sizes(config: Any, steps: Sequence[Any]) -> dict[str, tuple[int, int]]:
    """Image feature that a policy takes -> (height, width).

    Args:
        config: ``PreTrainedConfig`` of the policy.
        steps: of its preprocessing.
    """
    from lrm_policy_node.lerobot.vision import FRONT_KEY, KeypointVisionStep

    for step in steps:
        if isinstance(step, KeypointVisionStep):
            return {FRONT_KEY: (step.image_size[0], step.image_size[1])}
    images = {name: one.shape for name, one in config.image_features.items() if not name.startswith(_EMPTY_CAMERA)}
    return {name: (shape[1], shape[2]) for name, shape in images.items()}


def resizes(config: Any) -> bool:
    """Whether a policy takes images of any size."""
    return any(getattr(config, name, None) for name in _RESIZING)


def renamed(steps: Sequence[Any]) -> dict[str, str]:
    """What a preprocessing renames: feature of the dataset -> feature of the policy."""
    from lerobot.processor import RenameObservationsProcessorStep

    maps = (step.rename_map for step in steps if isinstance(step, RenameObservationsProcessorStep))
    return {old: new for one in maps for old, new in one.items()}
