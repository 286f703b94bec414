"""Pictures from the frame table to patches, on the device: exactly what the image processor does, and augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lrm_reward_node.training.checkpoint import MEAN, MERGE, PATCH, STD, TEMPORAL
from lrm_reward_node.vlm.vision import patchify


@dataclass(frozen=True)
class Augmentation:
    """Changes that keep the meaning of a picture; the front camera only.

    Attributes:
        shift_px: largest shift, pixels, edges repeated.
        brightness: largest relative change of all channels.
        colour: largest relative change of one channel.
        contrast: largest relative change of the contrast.
        noise: largest standard deviation of pixel noise, share of full scale.
    """

    shift_px: int = 2
    brightness: float = 0.3
    colour: float = 0.1
    contrast: float = 0.2
    noise: float = 0.02


def patches(
    frames: Tensor, index: Tensor, augmentation: Augmentation | None, generator: torch.Generator, views: int = 1
) -> Tensor:
    """Normalised patches of chosen frames.

    Args:
        frames: (F, H, W, 3) uint8.
        index: (N,) frames to take; ``views`` neighbours belong to one sample and are changed alike.

    Returns:
        (N, patches, D) float32, see :func:`lrm_reward_node.vlm.vision.patchify`.
    """
    if augmentation is None:
        pixels = frames[index].float() / 255.0
    else:
        pixels = _augmented(frames, index, augmentation, generator, views)
    return patchify(((pixels - MEAN) / STD).permute(0, 3, 1, 2), PATCH, MERGE, TEMPORAL)


def _augmented(frames: Tensor, index: Tensor, a: Augmentation, generator: torch.Generator, views: int) -> Tensor:
    device, samples = frames.device, len(index) // views

    def draw(scale: float, *shape: int) -> Tensor:
        values = torch.rand(samples, *shape, device=device, generator=generator)
        return ((2.0 * values - 1.0) * scale).repeat_interleave(views, 0)

    shift = draw(a.shift_px + 0.499, 2).round().long()
    height, width = frames.shape[1:3]
    rows = (torch.arange(height, device=device) + shift[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + shift[:, 1:]).clamp(0, width - 1)
    pixels = frames[index[:, None, None], rows[:, :, None], columns[:, None, :]].float() / 255.0
    gain = 1.0 + draw(a.brightness, 1, 1, 1) + draw(a.colour, 1, 1, 3)
    middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (middle + (pixels - middle) * (1.0 + draw(a.contrast, 1, 1, 1))) * gain
    noise = torch.randn(pixels.shape, device=device, generator=generator) * draw(a.noise, 1, 1, 1).abs()
    return (pixels + noise).clamp(0.0, 1.0)
