"""Names of what a robot sees, as datasets and policies of LeRobot have them."""

from __future__ import annotations

IMAGE_PREFIX = "observation.images."


def image_key(camera: str) -> str:
    """Feature of a camera, where nothing else is said."""
    return f"{IMAGE_PREFIX}{camera}"


def camera_of(feature: str) -> str:
    """Camera behind a feature: ``top`` of ``observation.images.top``, ``image`` of ``observation.image``."""
    return feature.removeprefix(IMAGE_PREFIX).removeprefix("observation.")
