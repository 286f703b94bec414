"""From prompts and pictures to tokens. Every picture is encoded once, however often it is asked about."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrm_reward_node.prompts import Prompt
from lrm_reward_node.vlm.cache import BatchCache
from lrm_reward_node.vlm.vision import encode_images

CACHED_IMAGES, CACHED_IMAGE_BYTES = 256, 2**30
"""Reset, previous and current frame of 36 streams of 640 x 480 with the 8B model in 16 bit; of 85 with a small one."""


@dataclass(frozen=True)
class Eye:
    """What turns a picture into tokens.

    Attributes:
        tower: name of the vision tower.
        settings: those of the image processor, as JSON; adapters may bring their own.
    """

    tower: str
    settings: str


@dataclass(frozen=True)
class ImageKey:
    """Content of a picture, and what encodes it."""

    eye: Eye
    digest: bytes
    shape: tuple[int, ...]


@dataclass(frozen=True)
class EncodedImage:
    """Tokens of one picture.

    Attributes:
        key: what was encoded.
        tokens: (1 + deepstack layers, tokens, hidden): what stands in the prompt, then what the first layers add.
        grid: patches in time, rows and columns.
    """

    key: ImageKey
    tokens: Tensor
    grid: tuple[int, int, int]


class ImageEncoder:
    """The vision towers with a cache: reset and previous frames come back.

    Args:
        towers: ``Qwen3VLVisionModel`` by name.
    """

    def __init__(self, towers: dict[str, Any]) -> None:
        self.towers = towers
        self.cache: BatchCache[ImageKey, EncodedImage] = BatchCache(
            CACHED_IMAGE_BYTES, lambda image: max(image.tokens.nbytes, CACHED_IMAGE_BYTES // CACHED_IMAGES)
        )

    def encode(self, images: Sequence[np.ndarray], processor: Any, eye: Eye) -> list[EncodedImage]:
        """Encode pictures with the image processor of ``processor``, whose settings ``eye`` holds."""
        distinct = {id(image): image for image in images}  # the heads of a stream ask about the same array
        keys = {at: ImageKey(eye, _digest(image), image.shape) for at, image in distinct.items()}
        by_key = {key: distinct[at] for at, key in keys.items()}
        wanted = [keys[id(image)] for image in images]
        return self.cache.gather(wanted, lambda new: self._forward({key: by_key[key] for key in new}, processor))

    def _forward(self, images: dict[ImageKey, np.ndarray], processor: Any) -> list[EncodedImage]:
        """One pass per picture size; resizing and cutting run where the tower is."""
        device = next(iter(self.towers.values())).pos_embed.weight.device
        writable = [np.require(image, requirements="W") for image in images.values()]  # torch warns of others
        pixels = processor.image_processor(images=writable, return_tensors="pt", device=device)
        grids = [tuple(grid) for grid in pixels["image_grid_thw"].tolist()]
        patches = pixels["pixel_values"].split([rows * columns for _, rows, columns in grids])
        keys = list(images)
        encoded: dict[ImageKey, EncodedImage] = {}
        for grid in dict.fromkeys(grids):
            same = [i for i, other in enumerate(grids) if other == grid]
            visual = self.towers[keys[same[0]].eye.tower]
            batch = torch.stack([patches[i] for i in same]).to(visual.pos_embed.weight)
            tokens, deepstack = encode_images(visual, batch, grid[1], grid[2])
            stacked = torch.stack((tokens, *deepstack), 1)
            encoded |= {keys[i]: EncodedImage(keys[i], one.clone(), grid) for i, one in zip(same, stacked, strict=True)}
        return [encoded[key] for key in keys]


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image)).digest()


def rendered(prompt: Prompt, processor: Any) -> str:
    """The prompt as text: chat template, one user turn, generation prompt."""
    return str(processor.apply_chat_template(prompt.messages(), add_generation_prompt=True, tokenize=False))


def token_ids(prompt: Prompt, counts: Sequence[int], processor: Any) -> list[int]:
    """Tokens of the rendered prompt with ``counts[i]`` image tokens for picture i."""
    parts = rendered(prompt, processor).split(processor.image_token)
    text = parts[0]
    for count, part in zip(counts, parts[1:], strict=True):
        text += processor.image_token * count + part
    return list(processor.tokenizer.encode(text, add_special_tokens=False))
