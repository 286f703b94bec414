"""Finds, loads and tries a base policy, so that a node that could not work fails before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lrm_core import resources
from lrm_core.errors import BadInput
from lrm_core.protocols import Policy


def load_base_policy(name: str, device: str, features: Mapping[str, str] = MappingProxyType({})) -> Policy:
    """A policy of LeRobot that has planned once.

    Args:
        name: a LeRobot folder, a name in ``models/``, or a model hub name ``owner/name``.
        device: torch device.
        features: camera of the robot -> feature; empty: every image feature is from a camera of its own name.

    Raises:
        BadInput: there is no such policy, it does not load or plan, or a feature has no camera.
    """
    from lrm_policy_node.lerobot.policy import LeRobotPolicy

    return LeRobotPolicy(policy_folder(name), device, features)


def policy_folder(name: str) -> Path:
    """Local folder of a policy; a hub name is fetched."""
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/")):
        return resources.model_path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the hub has a dozen ways to fail: offline, unknown, private …
        reason = " ".join(str(error).split())[:200]
        raise BadInput("parameter policy", name, "a folder, a name in models/, or a hub name", reason) from None
