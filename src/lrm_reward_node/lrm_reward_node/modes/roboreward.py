"""RoboReward (arXiv 2601.00675): a Qwen3-VL that watches the episode and writes ``ANSWER: s``, s in 1..5."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lrm_core.frames import CameraFrame
from lrm_core.rewards import RewardStatus
from lrm_reward_node.modes.mode import ModelOptions, ModeSpec
from lrm_reward_node.modes.video import VideoMode, times_s
from lrm_reward_node.readout import Reading

PROMPT = (
    "Given the task, assign a discrete progress score reward (1,2,3,4,5) for the robot in the video in the format: "
    "ANSWER: <score>\n"
    "Rubric for end-of-episode progress (judge only the final state without time limits):\n"
    "1 - No Success: Final state shows no goal-relevant change for the command.\n"
    "2 - Minimal Progress: Final state shows a small but insufficient change toward the goal.\n"
    "3 - Partial Completion: The final state shows good progress toward the goal but violates more than one "
    "requirement or a major requirement.\n"
    "4 - Near Completion: Final state is correct in region and intent but misses a single minor requirement.\n"
    "5 - Perfect Completion: Final state satisfies all requirements.\n\n"
    "Task: {task}"
)
"""The prompt of the released model's card, byte for byte."""

MAX_NEW_TOKENS = 64
_ANSWER = re.compile(r"\s*ANSWER: ?([1-5])\s*")
_TICKS_PER_S = 1000


def parse_score(text: str) -> int | None:
    """The score of a generated answer, or None when anything but ``ANSWER: s`` with s in 1..5 was written."""
    found = _ANSWER.fullmatch(text)
    return int(found.group(1)) if found else None


def reward(score: int) -> float:
    """(score - 1) / 4, in [0, 1]."""
    return (score - 1) / 4


def video_metadata(frames: Sequence[CameraFrame]) -> dict[str, Any]:
    """The real time of every frame, as Qwen3-VL's processor takes it: index / fps, here in milliseconds."""
    ticks = [round(time * _TICKS_PER_S) for time in times_s(frames)]
    return {"fps": float(_TICKS_PER_S), "frames_indices": ticks, "total_num_frames": ticks[-1] + 1}


class RoboRewardMode(VideoMode):
    """Greedy decoding of a ``Qwen3VLForConditionalGeneration``."""

    def __init__(self, spec: ModeSpec, model: Any, processor: Any, digest: str) -> None:
        fingerprint = hashlib.sha256("\0".join([digest, spec.name, PROMPT]).encode()).hexdigest()
        super().__init__(spec, fingerprint)
        self._model, self._processor = model, processor

    def inputs(self, task: str, frames: Sequence[CameraFrame]) -> Any:
        """Tensors of the prompt and the video, with the time of each frame written before it."""
        content = [{"type": "video"}, {"type": "text", "text": PROMPT.replace("{task}", task)}]
        chat = [{"role": "user", "content": content}]
        return self._processor(
            text=[self._processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)],
            videos=[np.stack([frame.rgb for frame in frames])],
            video_metadata=[video_metadata(frames)],
            do_sample_frames=False,
            return_tensors="pt",
        ).to(self._model.device)

    def read(self, task: str, frames: Sequence[CameraFrame]) -> Reading:
        """Generate and parse; anything but the published answer is UNPARSABLE."""
        text = self._generate(self.inputs(task, frames))
        score = parse_score(text)
        if score is None:
            return Reading(math.nan, RewardStatus.UNPARSABLE, raw_text=text)
        return Reading(reward(score), RewardStatus.OK, raw_text=text)

    @torch.inference_mode()
    def _generate(self, inputs: Any) -> str:
        output = self._model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        return str(self._processor.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def open_roboreward(spec: ModeSpec, options: ModelOptions) -> RoboRewardMode:
    """Load the model from a local folder or a hub name, on the CPU first, every tensor checked."""
    from lrm_reward_node.vlm.files import resolve_folder, weights_digest
    from lrm_reward_node.vlm.loading import load_backbone, model_dtype
    from lrm_reward_node.vlm.processor import load_processor

    folder = resolve_folder("model", options.model or spec.model)
    model = load_backbone(folder, model_dtype(options.dtype))
    model.eval().requires_grad_(False)
    model.to(options.device)
    return RoboRewardMode(spec, model, load_processor(folder, model.config), weights_digest(folder))
