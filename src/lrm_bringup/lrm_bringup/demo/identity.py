"""What exactly a run used: versions of packages and hashes of checkpoints."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.graph import POLICY, REWARD
from lrm_bringup.parameters import shipped
from lrm_core.errors import LrmError
from lrm_core.resources import model_path

_PACKAGES = ("lrm_bringup", "torch", "transformers", "peft", "lerobot", "mujoco", "ros-jazzy-rclpy")
_WEIGHTS = ("*.safetensors",)
SHIPPED_REWARD_MODEL = "lrm-tiny"


def versions() -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprints(options: DemoOptions) -> dict[str, str]:
    """Checkpoint -> first 12 digits of the hash of its weights; a name that is no folder stands for itself."""
    reward = options.model or shipped(REWARD).model or SHIPPED_REWARD_MODEL
    policy = options.policy or shipped(POLICY).policy
    return {f"reward model {reward}": _digest(reward), f"base policy {policy}": _digest(policy)}


def _digest(name: str) -> str:
    try:
        folder = Path(name) if Path(name).is_dir() else model_path(name)
    except LrmError:
        return name
    digest = hashlib.sha256()
    for path in sorted(file for pattern in _WEIGHTS for file in folder.rglob(pattern)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
