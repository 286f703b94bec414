"""What exactly a run used: hashes of its checkpoints."""

from __future__ import annotations

from pathlib import Path

from lrm_bringup.demo.options import DemoOptions
from lrm_bringup.graph import POLICY, REWARD
from lrm_bringup.parameters import shipped
from lrm_core.errors import LrmError
from lrm_core.fingerprints import weights_fingerprint
from lrm_core.resources import model_path

SHIPPED_REWARD_MODEL = "lrm-tiny"


def fingerprints(options: DemoOptions) -> dict[str, str]:
    """Checkpoint -> fingerprint of its weights; a name that is no folder stands for itself."""
    reward = options.model or shipped(REWARD).model or SHIPPED_REWARD_MODEL
    policy = options.policy or shipped(POLICY).policy
    return {f"reward model {reward}": _digest(reward), f"base policy {policy}": _digest(policy)}


def _digest(name: str) -> str:
    try:
        folder = Path(name) if Path(name).is_dir() else model_path(name)
    except LrmError:
        return name
    return weights_fingerprint(folder)
