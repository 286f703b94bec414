"""A small frozen vision encoder as a step of LeRobot's preprocessing pipeline: front image in, feature vector out.

ACT's own ResNet needs pretrained weights or hours on a GPU. Where neither is to be had, the policy sees through a
keypoint encoder (spatial soft-argmax, Levine et al. 2016) that the simulator has taught where things are, and learns
only how to move. The encoder's weights travel inside the policy's folder like every other processor state, so it stays
a regular LeRobot pretrained folder. Why: docs/decisions/0008.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from lerobot.configs import FeatureType, PipelineFeatureType, PolicyFeature
from lerobot.processor import ObservationProcessorStep, ProcessorStepRegistry
from lerobot.utils.constants import OBS_ENV_STATE, OBS_IMAGES
from torch import Tensor, nn

from lrm_core.errors import BadInput
from lrm_core.features import image_key

FRONT_KEY = image_key("front")
FEATURES_KEY: str = OBS_ENV_STATE
SPREAD_M = 0.1
"""Unit of the regressed positions around their mean."""


class KeypointEncoder(nn.Module):
    """Convolutions, soft-argmax keypoints, and a regression from keypoints to positions.

    Args:
        things: names of the things whose positions are regressed.
        keypoints: number of heat maps.
    """

    def __init__(self, things: int, keypoints: int = 32) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(3, 16, kernel=5, stride=2),
            *_convolution(16, 32, kernel=3, stride=2),
            *_convolution(32, 48, kernel=3, dilation=2),
            *_convolution(48, 48, kernel=3, dilation=2),
            nn.Conv2d(48, keypoints, 1),
        )
        self.regression = nn.Sequential(nn.Linear(3 * keypoints, 128), nn.ReLU(), nn.Linear(128, 3 * things))
        self.register_buffer("mean_m", torch.zeros(things, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, things, 3) positions in the robot base frame, metres."""
        return self.locate(self.convolutions(pixels))

    def locate(self, heat: Tensor) -> Tensor:
        """(B, keypoints, h, w) heat maps -> positions, as :meth:`forward`."""
        rows, columns = (torch.linspace(-1.0, 1.0, size, device=heat.device) for size in heat.shape[2:])
        weight = heat.flatten(2).softmax(-1).unflatten(2, heat.shape[2:])
        row = weight.sum(3) @ rows
        column = weight.sum(2) @ columns
        strength = heat.flatten(2).logsumexp(-1) / 8.0
        positions = self.regression(torch.cat((row, column, strength), dim=1))
        return positions.unflatten(1, self.mean_m.shape) * SPREAD_M + self.mean_m


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation), nn.GroupNorm(4, outputs), nn.ReLU()]


@ProcessorStepRegistry.register("lrm_keypoint_vision")
@dataclass
class KeypointVisionStep(ObservationProcessorStep):
    """Replaces ``observation.images.front`` by ``observation.environment_state``; other images are dropped.

    Attributes:
        things: names of the things whose positions make up the feature vector.
        image_size: (height, width) of the image, pixels.
    """

    things: list[str]
    image_size: list[int] = field(default_factory=lambda: [128, 128])

    def __post_init__(self) -> None:
        self.encoder = KeypointEncoder(len(self.things)).eval()

    @property
    def features(self) -> int:
        """Length of the feature vector."""
        return 3 * len(self.things)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> (B, features) float32: positions in metres, robot base frame."""
        if list(images.shape[2:]) != list(self.image_size):
            raise BadInput("front image", tuple(images.shape[2:]), f"(height, width) {tuple(self.image_size)}")
        return self.encoder(normalised(images)).flatten(1).clone()

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Encode the front image, (B, 3, H, W) float in [0, 1]."""
        kept = {key: value for key, value in observation.items() if not key.startswith(OBS_IMAGES)}
        images = (observation[FRONT_KEY] * 255.0).round().to(torch.uint8).cpu()
        return {**kept, FEATURES_KEY: self.encode(images)}

    def get_config(self) -> dict[str, Any]:
        """Configuration for the saved pipeline."""
        return {"things": self.things, "image_size": self.image_size}

    def state_dict(self) -> dict[str, Tensor]:
        """Weights of the encoder."""
        return {name: tensor.contiguous() for name, tensor in self.encoder.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a saved encoder."""
        self.encoder.load_state_dict(state)

    def transform_features(
        self, features: dict[PipelineFeatureType, dict[str, PolicyFeature]]
    ) -> dict[PipelineFeatureType, dict[str, PolicyFeature]]:
        """Images go, the feature vector comes."""
        inputs = features[PipelineFeatureType.OBSERVATION]
        kept = {key: value for key, value in inputs.items() if not key.startswith(OBS_IMAGES)}
        kept[FEATURES_KEY] = PolicyFeature(FeatureType.ENV, (self.features,))
        return {**features, PipelineFeatureType.OBSERVATION: kept}


def normalised(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0
