"""The ACT policy of LeRobot as this project uses it, in a regular LeRobot folder.

It sees with ACT's own ResNet-18 on every camera, or with a frozen keypoint encoder on the front camera
(:mod:`lrm_policy_node.lerobot.vision`), which two CPU cores can train in minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from safetensors.torch import save_file
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from lrm_policy_node.lerobot.demonstrations import ACTION_KEY, STATE_KEY, Demonstrations
from lrm_policy_node.lerobot.vision import FEATURES_KEY, KeypointVisionStep

_LARGE = {"dim_model": 256, "n_heads": 8, "dim_feedforward": 1024, "n_encoder_layers": 4, "dropout": 0.1}
_SMALL = {"dim_model": 128, "n_heads": 4, "dim_feedforward": 256, "n_encoder_layers": 2, "dropout": 0.0}
"""A few numbers from an encoder need less of a network than two feature maps."""
_BATCHED = 2
"""Steps of LeRobot's preprocessing (rename, add batch dimension) that come before the vision step."""


def act_config(
    data: Demonstrations, chunk_size: int = 20, chunk_steps: int = 10, vision: KeypointVisionStep | None = None
) -> ACTConfig:
    """Configuration for these demonstrations.

    Args:
        data: gives the image and joint shapes.
        chunk_size: actions the policy predicts.
        chunk_steps: K, actions that are executed.
        vision: a frozen encoder for the front camera; None: ResNet-18 for every camera.
    """
    inputs = {STATE_KEY: PolicyFeature(FeatureType.STATE, (data.states.shape[1],))}
    if vision is not None:
        inputs[FEATURES_KEY] = PolicyFeature(FeatureType.ENV, (vision.features,))
    else:
        shapes = {key: frames.shape[1:] for key, frames in data.images.items()}
        inputs |= {key: PolicyFeature(FeatureType.VISUAL, (s[2], s[0], s[1])) for key, s in shapes.items()}
    config = ACTConfig(
        input_features=inputs,
        output_features={ACTION_KEY: PolicyFeature(FeatureType.ACTION, (data.actions.shape[1],))},
        chunk_size=chunk_size,
        n_action_steps=chunk_steps,
        pretrained_backbone_weights=None,
        use_vae=False,
        **(_SMALL if vision else _LARGE),
        device="cpu",
        push_to_hub=False,
    )
    config.normalization_mapping["ENV"] = NormalizationMode.MEAN_STD
    return config


def dataset_stats(data: Demonstrations, features: torch.Tensor | None = None) -> dict[str, dict[str, torch.Tensor]]:
    """Mean and standard deviation as LeRobot's normalisation wants them; images per channel in [0, 1].

    ``features``: (N, F) what the frozen encoder made of the front images, in place of the images.
    """
    vectors = {STATE_KEY: torch.from_numpy(data.states), ACTION_KEY: torch.from_numpy(data.actions)}
    stats = {}
    if features is not None:
        vectors[FEATURES_KEY] = features
    else:
        stats = {key: _image_stats(frames) for key, frames in data.images.items()}
    for key, tensor in vectors.items():
        stats[key] = {"mean": tensor.float().mean(0), "std": tensor.float().std(0).clamp_min(1e-3)}
    return stats


def _image_stats(frames: np.ndarray) -> dict[str, torch.Tensor]:
    sample = torch.from_numpy(frames[:: max(1, len(frames) // 1000)]).float() / 255.0
    mean, std = sample.mean((0, 1, 2)), sample.std((0, 1, 2))
    return {"mean": mean.view(3, 1, 1), "std": std.clamp_min(1e-3).view(3, 1, 1)}


def build(config: ACTConfig) -> ACTPolicy:
    """A fresh policy whose batch normalisation learns.

    LeRobot freezes the backbone's batch normalisation, right for pretrained weights; from scratch the network would
    have none. So they are trainable here; their tensors have the same names, and the saved folder loads frozen.
    """
    policy = ACTPolicy(config)
    if config.image_features:
        _replace(policy.model.backbone)
    return policy


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.weight.shape[0], eps=child.eps))
        else:
            _replace(child)


def save(
    policy: ACTPolicy, stats: dict[str, dict[str, torch.Tensor]], folder: Path, vision: KeypointVisionStep | None = None
) -> None:
    """Write a regular LeRobot pretrained folder: configuration, half-precision weights, both processors."""
    folder.mkdir(parents=True, exist_ok=True)
    policy.config.save_pretrained(folder)
    weights: dict[str, Any] = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in policy.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    before, after = make_act_pre_post_processors(policy.config, stats)
    if vision is not None:
        before.steps = [*before.steps[:_BATCHED], vision, *before.steps[_BATCHED:]]
    before.save_pretrained(folder)
    after.save_pretrained(folder)
