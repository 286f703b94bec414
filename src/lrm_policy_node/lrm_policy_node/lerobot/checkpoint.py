"""Loads a policy of any of LeRobot's classes from a local folder, with its processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrm_core.errors import BadInput

_FILES = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
_FETCHED: dict[str, Any] = {"pretrained_backbone_weights": None, "load_vlm_weights": False}
"""Settings that fetch weights of a backbone from the network, which those of the checkpoint replace at once."""


def load_checkpoint(folder: Path, device: str) -> tuple[Any, Any, Any]:
    """Policy (``PreTrainedPolicy``), preprocessor and postprocessor (``PolicyProcessorPipeline``) on ``device``.

    Raises:
        BadInput: a file is missing, is not whole, or needs what is not installed.
    """
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        fix = "See: lrm train policy. A folder of before LeRobot 0.4 has no processors: lerobot's "
        fix += "processor/migrate_policy_normalization.py adds them."
        raise BadInput("policy folder", str(folder), f"a LeRobot pretrained folder with {missing}", fix)
    try:
        policy, before, after = _load(folder, device)
    except Exception as error:  # configurations, weights, tokenizers: other people's code, a dozen ways to fail
        reason = " ".join(str(error).split())[:300]
        raise BadInput(
            "policy checkpoint", str(folder), "a complete LeRobot checkpoint", f"It does not load: {reason}"
        ) from error
    if not all(tensor.isfinite().all() for tensor in policy.state_dict().values()):
        raise BadInput("policy checkpoint", str(folder), "finite weights", "Train or fetch it again.")
    return policy, before, after


def _load(folder: Path, device: str) -> tuple[Any, Any, Any]:
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    import lrm_policy_node.lerobot.vision  # noqa: F401 - registers the keypoint encoder among LeRobot's processors

    config = PreTrainedConfig.from_pretrained(folder)
    for name, value in {**_FETCHED, "device": device}.items():
        if hasattr(config, name):
            setattr(config, name, value)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config, strict=True)
    before, after = make_pre_post_processors(
        config, pretrained_path=str(folder), preprocessor_overrides={"device_processor": {"device": device}}
    )
    return policy.to(device).eval(), before, after
