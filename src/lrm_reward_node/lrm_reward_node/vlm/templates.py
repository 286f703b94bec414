"""A prompt's tokens and positions, made once per head, task and picture sizes and cut where its constant part ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrm_core.rewards import RewardHead
from lrm_reward_node.prompts import Prompt
from lrm_reward_node.vlm.encoding import EncodedImage, token_ids
from lrm_reward_node.vlm.text import Packed

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """Consecutive tokens of a prompt.

    Attributes:
        ids: (n,) token ids.
        positions: (3, n) positions of the rotary embedding.
        images: which of the prompt's pictures stand in it, in order.
    """

    ids: Tensor
    positions: Tensor
    images: slice


@dataclass(frozen=True)
class Template:
    """A prompt, followed by the answers' common opening.

    Attributes:
        prefix: what stays the same in an episode: the text before the first picture, for progress also the reset frame.
        suffix: the rest.
        end: (3,) position of the token after the last one.
    """

    prefix: Part
    suffix: Part
    end: Tensor


@dataclass(frozen=True)
class TemplateKey:
    """What a template depends on."""

    head: RewardHead
    prompt: Prompt
    grids: tuple[Grid, ...]


def build_template(key: TemplateKey, core: Any, processor: Any, opening: Sequence[int]) -> Template:
    """Tokenise the prompt and place it.

    Args:
        core: ``Qwen3VLModel``, for its positions.
        opening: tokens that all legal answers start with.
    """
    merge = processor.image_processor.merge_size**2
    ids = torch.tensor([*token_ids(key.prompt, [r * c // merge for _, r, c in key.grids], processor), *opening])
    visual = ids == processor.image_token_id
    positions, _ = core.get_rope_index(
        ids[None],
        mm_token_type_ids=visual[None].int(),
        image_grid_thw=torch.tensor(key.grids),
        attention_mask=torch.ones_like(ids)[None],
    )
    positions, constant = positions[:, 0], 0
    cut = int(visual.nonzero()[0])
    if key.head is RewardHead.PROGRESS and len(key.grids) > 1:
        constant = 1
        cut += key.grids[0][1] * key.grids[0][2] // merge
    device = core.language_model.embed_tokens.weight.device
    return Template(
        Part(ids[:cut].to(device), positions[:, :cut].to(device), slice(0, constant)),
        Part(ids[cut:].to(device), positions[:, cut:].to(device), slice(constant, len(key.grids))),
        (positions[:, -1] + 1).to(device),
    )


def pack(parts: Sequence[Part], images: Sequence[EncodedImage], embed_tokens: Any, image_token: int) -> Packed:
    """Lay parts one after the other; ``images`` are theirs in order."""
    ids = torch.cat([part.ids for part in parts])
    embeds, visual = embed_tokens(ids), (ids == image_token).nonzero()[:, 0]
    deepstack: Sequence[Tensor] = ()
    if images:
        tokens, *deepstack = torch.cat([image.tokens for image in images], 1).to(embeds.dtype)
        embeds = embeds.index_copy(0, visual, tokens)
    return Packed(embeds, torch.cat([part.positions for part in parts], 1), visual, deepstack)
