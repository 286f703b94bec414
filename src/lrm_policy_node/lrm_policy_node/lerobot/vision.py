"""A frozen vision tower as a step of LeRobot's preprocessing pipeline: front image in, feature vector out.

ACT's own ResNet needs pretrained weights or hours on a GPU. Where neither is to be had, the policy sees through a tower that can
see already and learns only how to move. The tower's weights travel inside the policy's folder like every other
processor state, so the folder stays a regular LeRobot pretrained folder. Why this one: docs/decisions/0008.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lerobot.configs import FeatureType, PipelineFeatureType, PolicyFeature
from lerobot.processor import ObservationProcessorStep, ProcessorStepRegistry
from lerobot.utils.constants import OBS_ENV_STATE, OBS_IMAGES
from safetensors.torch import load_file
from transformers import Qwen2VLImageProcessor
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from lrm_core.errors import BadInput

FRONT_KEY = f"{OBS_IMAGES}.front"
_PREFIX = "visual."


@ProcessorStepRegistry.register("lrm_frozen_vision")
@dataclass
class FrozenVisionStep(ObservationProcessorStep):
    """Replaces ``observation.images.front`` by ``observation.environment_state``; other images are dropped.

    Attributes:
        vision_config: configuration of a ``Qwen3VLVisionModel``.
        image_processor: configuration of the image processor that belongs to it.
        image_size: (height, width) of the image, pixels.
    """

    vision_config: dict[str, Any]
    image_processor: dict[str, Any]
    image_size: list[int] = field(default_factory=lambda: [128, 128])

    def __post_init__(self) -> None:
        self._tower = Qwen3VLVisionModel(Qwen3VLVisionConfig(**self.vision_config)).eval()
        self._processor = Qwen2VLImageProcessor(**self.image_processor)

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        cell = self.vision_config["patch_size"] * self.vision_config["spatial_merge_size"]
        height, width = self.image_size
        return (height // cell) * (width // cell) * int(self.vision_config["out_hidden_size"])

    @torch.inference_mode()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 RGB -> (B, features) float32."""
        if list(images.shape[2:]) != list(self.image_size):
            raise BadInput("front image", tuple(images.shape[2:]), f"(height, width) {tuple(self.image_size)}")
        inputs = self._processor(images=list(images), return_tensors="pt")
        tokens = self._tower(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
        return torch.cat(list(tokens)).reshape(len(images), -1).float().clone()

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Encode the front image, (B, 3, H, W) float in [0, 1]."""
        kept = {key: value for key, value in observation.items() if not key.startswith(OBS_IMAGES)}
        images = (observation[FRONT_KEY] * 255.0).round().to(torch.uint8).cpu()
        return {**kept, OBS_ENV_STATE: self.encode(images)}

    def get_config(self) -> dict[str, Any]:
        """Configuration for the saved pipeline."""
        return {
            "vision_config": self.vision_config,
            "image_processor": self.image_processor,
            "image_size": self.image_size,
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights of the tower, half precision."""
        return {name: tensor.half().contiguous() for name, tensor in self._tower.state_dict().items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take the weights of a saved tower."""
        self._tower.load_state_dict(state)

    def transform_features(
        self, features: dict[PipelineFeatureType, dict[str, PolicyFeature]]
    ) -> dict[PipelineFeatureType, dict[str, PolicyFeature]]:
        """Images go, the feature vector comes."""
        inputs = features[PipelineFeatureType.OBSERVATION]
        kept = {key: value for key, value in inputs.items() if not key.startswith(OBS_IMAGES)}
        kept[OBS_ENV_STATE] = PolicyFeature(FeatureType.ENV, (self.features,))
        return {**features, PipelineFeatureType.OBSERVATION: kept}


def from_checkpoint(folder: Path, image_size: tuple[int, int]) -> FrozenVisionStep:
    """The vision tower of a Qwen3-VL checkpoint in a local folder.

    Raises:
        BadInput: the folder holds no Qwen3-VL checkpoint.
    """
    try:
        config = json.loads((folder / "config.json").read_text())["vision_config"]
        processor = json.loads((folder / "preprocessor_config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    except (OSError, KeyError, ValueError) as error:
        raise BadInput("vision", str(folder), "a folder with a Qwen3-VL checkpoint", str(error)) from error
    tower = {name.split(_PREFIX, 1)[1]: tensor for name, tensor in weights.items() if _PREFIX in name}
    step = FrozenVisionStep(config, processor, list(image_size))
    step.load_state_dict(tower)
    return step
