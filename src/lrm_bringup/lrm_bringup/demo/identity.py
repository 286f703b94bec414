"""What exactly a run used: hashes of its checkpoints."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.graph import POLICY, REWARD
from lrm_bringup.parameters import shipped
from lrm_core.errors import LrmError
from lrm_core.resources import model_path

_WEIGHTS = ("*.safetensors",)
SHIPPED_REWARD_MODEL = "lrm-tiny"


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
