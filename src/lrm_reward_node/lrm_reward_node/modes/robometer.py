"""Robometer (arXiv 2603.02115) through LeRobot: progress read from heads on Qwen3-VL, no text is generated."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lrm_core.errors import BadInput
from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardStatus
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec
from lrm_reward_node.modes.video import VideoMode
from lrm_reward_node.readout import Reading

MAX_SIDE_PX = 320


def bounded(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB: ``image`` made smaller, if need be, so that no side exceeds 320 pixels."""
    height, width = image.shape[:2]
    scale = MAX_SIDE_PX / max(height, width)
    if scale >= 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


class RobometerMode(VideoMode):
    """LeRobot's ``RobometerRewardModel`` behind its own ``RobometerEncoderProcessorStep``."""

    def __init__(self, spec: ModeSpec, model: Any, encoder: Any, digest: str) -> None:
        super().__init__(spec, hashlib.sha256("\0".join([digest, spec.name]).encode()).hexdigest())
        self._model, self._encoder = model, encoder

    def read(self, task: str, frames: Sequence[CameraFrame]) -> Reading:
        """Expected value of the progress bins at the last frame."""
        from lerobot.lerobot_types import TransitionKey

        video = torch.from_numpy(np.stack([bounded(frame.rgb) for frame in frames]).transpose(0, 3, 1, 2))[None]
        transition = {
            TransitionKey.OBSERVATION: {self._encoder.image_key: video},
            TransitionKey.COMPLEMENTARY_DATA: {"task": [task]},
        }
        encoded = self._encoder(transition)[TransitionKey.OBSERVATION]
        value = float(self._model.compute_reward(encoded)[0])
        if math.isnan(value):
            return Reading(math.nan, RewardStatus.MODEL_ERROR, raw_text="the model's output is not a number")
        return Reading(value, RewardStatus.OK, raw_text=f"progress {value:.3f}")


def open_robometer(spec: ModeSpec, options: ModelOptions) -> RobometerMode:
    """A checkpoint of LeRobot's Robometer, from a local folder or a hub name; every tensor must be in the file."""
    if importlib.util.find_spec("qwen_vl_utils") is None:
        fix = "Install it: it comes with lerobot[robometer]."
        raise BadInput("reward mode", spec.name, "the package qwen-vl-utils, which its encoder needs", fix)
    from lerobot.rewards.robometer.processor_robometer import RobometerEncoderProcessorStep

    from lrm_reward_node.vlm.files import resolve_folder, weights_digest
    from lrm_reward_node.vlm.loading import model_dtype

    model_dtype(options.dtype)
    folder = resolve_folder("model", options.model or spec.model)
    model = _load(folder, spec, options)
    config = model.config
    encoder = RobometerEncoderProcessorStep(
        base_model_id=config.base_model_id,
        image_key=config.image_key,
        max_frames=config.max_frames,
        use_multi_image=config.use_multi_image,
        use_per_frame_progress_token=config.use_per_frame_progress_token,
    )
    return RobometerMode(spec, model, encoder, weights_digest(folder))


def _load(folder: Path, spec: ModeSpec, options: ModelOptions) -> Any:
    from lerobot.configs.rewards import RewardModelConfig
    from lerobot.rewards.robometer import RobometerConfig, RobometerRewardModel

    allowed = "a Robometer checkpoint of LeRobot"
    try:
        config = RewardModelConfig.from_pretrained(folder)
    except Exception as error:  # the parser of LeRobot's configurations raises types of its own
        raise BadInput("model", str(folder), allowed, _last_line(error)) from error
    if not isinstance(config, RobometerConfig):
        raise BadInput("model", str(folder), allowed)
    config.pretrained_path, config.device, config.torch_dtype = str(folder), options.device, options.dtype
    config.max_frames, config.reward_output = spec.needs.video_frames, "progress"
    try:
        return RobometerRewardModel.from_pretrained(folder, config=config, strict=True)
    except (RuntimeError, ValueError, OSError, KeyError, TypeError) as error:
        raise BadInput("model", str(folder), allowed, _last_line(error)) from error


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
