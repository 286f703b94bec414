"""The seven modes of the original Large Reward Models code (arXiv 2603.16065)."""

from __future__ import annotations

from lrm_core.rewards import RewardHead
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec, Needs, RewardMode


def _open_head(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    from lrm_reward_node.modes.heads import open_head

    return open_head(spec, options)


def _open_tri(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    from lrm_reward_node.modes.heads import open_tri

    return open_tri(spec, options)


def _open_roboreward(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    from lrm_reward_node.modes.roboreward import open_roboreward

    return open_roboreward(spec, options)


def _open_robometer(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    from lrm_reward_node.modes.robometer import open_robometer

    return open_robometer(spec, options)


def _open_topreward(spec: ModeSpec, options: ModelOptions) -> RewardMode:
    from lrm_reward_node.modes.topreward import open_topreward

    return open_topreward(spec, options)


_LRM = "arXiv 2603.16065"
CONTRASTIVE = ModeSpec(
    "contrastive", RewardHead.CONTRASTIVE, -1.0, 1.0, Needs(previous=True), "", _LRM, _open_head
)  # fmt: skip
COMPLETION = ModeSpec("completion", RewardHead.COMPLETION, 0.0, 1.0, Needs(), "", _LRM, _open_head)
PROGRESS = ModeSpec("progress", RewardHead.PROGRESS, 0.0, 1.0, Needs(initial=True), "", _LRM, _open_head)
TRI = ModeSpec("tri", RewardHead.FUSED, 0.0, 1.0, Needs(initial=True, previous=True), "", _LRM, _open_tri)
"""The range is that of the form ``code``; ``paper`` has [-1/3, 1]."""
ROBOREWARD = ModeSpec(
    "roboreward", RewardHead.PROGRESS, 0.0, 1.0, Needs(video_frames=16), "teetone/RoboReward-8B", "arXiv 2601.00675",
    _open_roboreward,
)  # fmt: skip
ROBOMETER = ModeSpec(
    "robometer", RewardHead.PROGRESS, 0.0, 1.0, Needs(video_frames=8), "lerobot/Robometer-4B", "arXiv 2603.02115",
    _open_robometer,
)  # fmt: skip
TOPREWARD = ModeSpec(
    "topreward", RewardHead.PROGRESS, 0.0, 1.0, Needs(video_frames=15), "Qwen/Qwen3-VL-8B-Instruct",
    "arXiv 2602.19313", _open_topreward,
)  # fmt: skip
