"""From queries to the tensors of a forward pass. Every picture is encoded once, however often it is asked about."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrm_core.errors import BadInput
from lrm_reward_node import prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.prompts import Prompt

CACHED_IMAGES = 32
MIN_SIDE_PX = 16


@dataclass(frozen=True)
class Row:
    """One query, ready to be batched: prompt and its pictures in order."""

    prompt: Prompt
    images: tuple[np.ndarray, ...]


def query_row(query: RewardQuery) -> Row:
    """Prompt and pictures of a query.

    Raises:
        BadInput: the task or a picture cannot be used.
    """
    given = {"initial": query.reference is not None, "goal": query.goal is not None}
    pictures = {"goal": query.goal, "current": query.current}
    pictures |= {"initial": query.reference, "previous": query.reference}
    images = tuple(_usable(pictures[name]) for name in prompts.image_order(query.head, **given))
    return Row(prompts.build(query.head, query.task, **given), images)


def _usable(image: np.ndarray | None) -> np.ndarray:
    allowed = f"(H, W, 3) uint8 RGB of at least {MIN_SIDE_PX} pixels"
    if image is None:
        raise BadInput("image", None, allowed)
    good = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and min(image.shape[:2]) >= MIN_SIDE_PX
    if not good:
        raise BadInput("image", f"{image.dtype} {image.shape}", allowed)
    return image


@dataclass(frozen=True)
class EncodedImage:
    """Tokens of one picture: (tokens, hidden), deepstack features of the same shape, and its grid of patches (3,)."""

    tokens: Tensor
    deepstack: tuple[Tensor, ...]
    grid: Tensor


class ImageEncoder:
    """The vision tower with a small cache, least recently used out: reset and previous frames come back."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self._cache: OrderedDict[tuple[str, bytes, tuple[int, ...]], EncodedImage] = OrderedDict()

    def encode(self, images: Sequence[np.ndarray], processor: Any, tower: str) -> list[EncodedImage]:
        """Encode pictures with the vision tower that is active now, named ``tower``."""
        keys = [(tower, hashlib.blake2b(np.ascontiguousarray(image)).digest(), image.shape) for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._cache}
        if new:
            self._cache.update(zip(new, self._forward(list(new.values()), processor), strict=True))
        encoded = [self._cache[key] for key in keys]
        for key in keys:
            self._cache.move_to_end(key)
        while len(self._cache) > CACHED_IMAGES:
            self._cache.popitem(last=False)
        return encoded

    def _forward(self, images: list[np.ndarray], processor: Any) -> list[EncodedImage]:
        pixels = processor.image_processor(images=images, return_tensors="pt")
        device = self.core.language_model.embed_tokens.weight.device
        grids = pixels["image_grid_thw"].to(device)
        output = self.core.get_image_features(pixels["pixel_values"].to(device), grids, return_dict=True)
        sizes = [len(tokens) for tokens in output.pooler_output]
        layers = [layer.split(sizes) for layer in output.deepstack_features]
        return [
            EncodedImage(tokens, tuple(layer[i] for layer in layers), grids[i])
            for i, tokens in enumerate(output.pooler_output)
        ]


@dataclass(frozen=True)
class TextInputs:
    """What the language model takes: embeddings (B, L, hidden), left-padded, and what belongs to them."""

    inputs_embeds: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    visual_pos_masks: Tensor
    deepstack_visual_embeds: list[Tensor]


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


def text_inputs(
    core: Any, rows: Sequence[Row], images: Sequence[Sequence[EncodedImage]], processor: Any, suffix: Sequence[int]
) -> TextInputs:
    """Left-padded batch of prompts, each followed by the tokens ``suffix``."""
    device = core.language_model.embed_tokens.weight.device
    sequences = [
        [*token_ids(row.prompt, [len(image.tokens) for image in encoded], processor), *suffix]
        for row, encoded in zip(rows, images, strict=True)
    ]
    width = max(map(len, sequences))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        ids[i, width - len(sequence) :] = torch.tensor(sequence)
        mask[i, width - len(sequence) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    visual = (ids == processor.image_token_id) & mask.bool()
    flat = [image for encoded in images for image in encoded]
    positions, _ = core.get_rope_index(
        ids,
        mm_token_type_ids=visual.int(),
        image_grid_thw=torch.stack([image.grid for image in flat]),
        attention_mask=mask,
    )
    embeds = core.language_model.embed_tokens(ids)
    tokens = torch.cat([image.tokens for image in flat]).to(embeds.dtype)
    return TextInputs(
        inputs_embeds=embeds.masked_scatter(visual[..., None], tokens),
        attention_mask=mask,
        position_ids=positions,
        visual_pos_masks=visual,
        deepstack_visual_embeds=[
            torch.cat(layers) for layers in zip(*(image.deepstack for image in flat), strict=True)
        ],
    )
