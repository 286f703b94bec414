"""The ACT policy of LeRobot as this project uses it: two cameras, no pretrained weights, a regular LeRobot folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lrm_core.errors import BadInput
from lrm_policy_node.lerobot.demonstrations import ACTION_KEY, CAMERAS, STATE_KEY, Demonstrations, image_key


def act_config(data: Demonstrations, chunk_size: int = 20, chunk_steps: int = 10) -> ACTConfig:
    """Configuration for these demonstrations.

    Args:
        data: gives the image and joint shapes.
        chunk_size: actions the policy predicts.
        chunk_steps: K, actions that are executed.
    """
    images = {c: data.images[c].shape[1:] for c in CAMERAS}
    inputs = {image_key(c): PolicyFeature(FeatureType.VISUAL, (s[2], s[0], s[1])) for c, s in images.items()}
    inputs[STATE_KEY] = PolicyFeature(FeatureType.STATE, (data.states.shape[1],))
    return ACTConfig(
        input_features=inputs,
        output_features={ACTION_KEY: PolicyFeature(FeatureType.ACTION, (data.actions.shape[1],))},
        chunk_size=chunk_size,
        n_action_steps=chunk_steps,
        pretrained_backbone_weights=None,
        dim_model=256,
        n_heads=8,
        dim_feedforward=1024,
        n_encoder_layers=4,
        use_vae=False,
        dropout=0.1,
        device="cpu",
        push_to_hub=False,
    )


def dataset_stats(data: Demonstrations) -> dict[str, dict[str, torch.Tensor]]:
    """Mean and standard deviation as LeRobot's normalisation wants them; images per channel in [0, 1]."""
    stats = {}
    for camera, frames in data.images.items():
        sample = torch.from_numpy(frames[:: max(1, len(frames) // 1000)]).float() / 255.0
        mean, std = sample.mean((0, 1, 2)), sample.std((0, 1, 2))
        stats[image_key(camera)] = {"mean": mean.view(3, 1, 1), "std": std.clamp_min(1e-3).view(3, 1, 1)}
    for key, values in ((STATE_KEY, data.states), (ACTION_KEY, data.actions)):
        tensor = torch.from_numpy(values)
        stats[key] = {"mean": tensor.mean(0), "std": tensor.std(0).clamp_min(1e-3)}
    return stats


def build(config: ACTConfig) -> ACTPolicy:
    """A fresh policy whose batch normalisation learns.

    LeRobot freezes the backbone's batch normalisation, right for pretrained weights; from scratch the network would have
    none. The layers are therefore trainable here; their tensors have the same names, so the saved folder loads frozen.
    """
    policy = ACTPolicy(config)
    _replace(policy.model.backbone)
    return policy


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.weight.shape[0], eps=child.eps))
        else:
            _replace(child)


def load_weights(policy: ACTPolicy, folder: Path) -> None:
    """Start a policy of :func:`build` from the weights of a saved one; raises BadInput when the shapes differ."""
    try:
        missing, unexpected = policy.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    except (RuntimeError, OSError) as error:
        raise BadInput("initial policy", str(folder), "weights of the same architecture", str(error)[:200]) from error
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise BadInput("initial policy", str(folder), "weights of the same architecture")


def save(policy: ACTPolicy, stats: dict[str, dict[str, torch.Tensor]], folder: Path) -> None:
    """Write a regular LeRobot pretrained folder: configuration, half-precision weights, both processors."""
    folder.mkdir(parents=True, exist_ok=True)
    policy.config.save_pretrained(folder)
    weights: dict[str, Any] = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in policy.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    for processor in make_act_pre_post_processors(policy.config, stats):
        processor.save_pretrained(folder)
