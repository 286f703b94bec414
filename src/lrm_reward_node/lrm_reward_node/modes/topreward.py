"""TOPReward (arXiv 2602.19313) through LeRobot: how likely a frozen Qwen3-VL calls the task done."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardStatus
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec
from lrm_reward_node.modes.video import VideoMode, times_s
from lrm_reward_node.readout import Reading

FLOOR_NATS, SPAN_NATS = -25.0, 20.0
DEFAULT_FPS = 2.0


def scaled(log_probability: float) -> float:
    """clip((log P("True") + 25) / 20, 0, 1); not a number stays not a number."""
    if math.isnan(log_probability):
        return math.nan
    return min(max((log_probability - FLOOR_NATS) / SPAN_NATS, 0.0), 1.0)


def mean_fps(frames: Sequence[CameraFrame]) -> float:
    """Frames per second of the window, 1/s: LeRobot's encoder takes evenly spaced frames."""
    return (len(frames) - 1) / times_s(frames)[-1] if len(frames) > 1 else DEFAULT_FPS


class TopRewardMode(VideoMode):
    """LeRobot's ``TOPRewardModel`` behind its own ``TOPRewardEncoderProcessorStep``."""

    def __init__(self, spec: ModeSpec, model: Any, encoder: Any, digest: str) -> None:
        prompt = [model.config.prompt_prefix, model.config.prompt_suffix_template]
        fingerprint = hashlib.sha256("\0".join([digest, spec.name, *prompt]).encode()).hexdigest()
        super().__init__(spec, fingerprint)
        self._model, self._encoder = model, encoder

    def read(self, task: str, frames: Sequence[CameraFrame]) -> Reading:
        """One forward pass; the log-probability of "True" at the last position, scaled."""
        from lerobot.lerobot_types import TransitionKey

        self._encoder.fps = mean_fps(frames)
        video = torch.from_numpy(np.stack([frame.rgb for frame in frames]).transpose(0, 3, 1, 2))[None]
        transition = {
            TransitionKey.OBSERVATION: {self._encoder.image_key: video},
            TransitionKey.COMPLEMENTARY_DATA: {"task": [task]},
        }
        encoded = self._encoder(transition)[TransitionKey.OBSERVATION]
        log_probability = float(self._model.compute_reward(encoded)[0])
        if math.isnan(log_probability):
            return Reading(math.nan, RewardStatus.MODEL_ERROR, raw_text="the model's output is not a number")
        return Reading(scaled(log_probability), RewardStatus.OK, raw_text=f"log P(True) = {log_probability:.3f}")


def open_topreward(spec: ModeSpec, options: ModelOptions) -> TopRewardMode:
    """Any Qwen3-VL from a local folder or a hub name."""
    from lerobot.rewards.topreward import TOPRewardConfig, TOPRewardModel
    from lerobot.rewards.topreward.processor_topreward import TOPRewardEncoderProcessorStep

    from lrm_reward_node.vlm.files import resolve_folder, weights_digest
    from lrm_reward_node.vlm.loading import load_backbone, model_dtype
    from lrm_reward_node.vlm.processor import load_processor

    class Loaded(TOPRewardModel):
        """LeRobot's model around a backbone that was loaded and proved here: its own loading passes over tensors that
        are missing, and would read all weights a second time.
        """

        def __init__(self, config: TOPRewardConfig, backbone: Any) -> None:
            super(TOPRewardModel, self).__init__(config)
            self.config, self.model = config, backbone

    folder = resolve_folder("model", options.model or spec.model)
    backbone = load_backbone(folder, model_dtype(options.dtype))
    load_processor(folder, backbone.config)
    config = TOPRewardConfig(
        vlm_name=str(folder), torch_dtype=options.dtype, max_frames=spec.needs.video_frames, device=options.device
    )
    model = Loaded(config, backbone)
    model.to(options.device).eval()
    encoder = TOPRewardEncoderProcessorStep(
        vlm_name=config.vlm_name, image_key=config.image_key, max_frames=config.max_frames
    )
    return TopRewardMode(spec, model, encoder, weights_digest(folder))
