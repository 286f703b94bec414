"""A prompt's tokens and positions, made once per head, task and picture sizes and cut where its constant part ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrm_core.rewards import RewardHead
from lrm_reward_node.prompts import Prompt
from lrm_reward_node.vlm.answers import AnswerTokens
from lrm_reward_node.vlm.encoding import EncodedImage, token_ids
from lrm_reward_node.vlm.text import Packed

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """Consecutive tokens of a prompt, on the processor.

    Attributes:
        ids: (n,) token ids.
        positions: (3, n) positions of the rotary embedding.
        visual: (V,) which of the tokens stand for a picture.
        images: which of the prompt's pictures stand in it, in order.
    """

    ids: Tensor
    positions: Tensor
    visual: Tensor
    images: slice


@dataclass(frozen=True)
class Template:
    """A prompt, followed by the answers' common opening and the branches of their tree.

    Attributes:
        prefix: what stays the same in an episode: the text before the first picture, for progress also the reset frame.
        suffix: the rest.
    """

    prefix: Part
    suffix: Part


@dataclass(frozen=True)
class TemplateKey:
    """What a template depends on."""

    head: RewardHead
    prompt: Prompt
    grids: tuple[Grid, ...]


def build_template(key: TemplateKey, core: Any, processor: Any, answers: AnswerTokens) -> Template:
    """Tokenise the prompt and place it.

    Args:
        core: ``Qwen3VLModel``, for its positions.
        answers: the legal answers of the head.
    """
    merge = processor.image_processor.merge_size**2
    counts = [rows * columns // merge for _, rows, columns in key.grids]
    ids = torch.tensor([*token_ids(key.prompt, counts, processor), *answers.opening])
    visual = ids == processor.image_token_id
    positions, _ = core.get_rope_index(
        ids[None],
        mm_token_type_ids=visual[None].int(),
        image_grid_thw=torch.tensor(key.grids),
        attention_mask=torch.ones_like(ids)[None],
    )
    depths = torch.tensor([len(path) for path in answers.branches], dtype=torch.long)
    positions = torch.cat((positions[:, 0], positions[:, 0, -1:] + depths), 1)
    ids = torch.cat((ids, torch.tensor([path[-1] for path in answers.branches], dtype=torch.long)))
    constant = 1 if key.head is RewardHead.PROGRESS and len(counts) > 1 else 0
    cut = int(visual.nonzero()[0]) + sum(counts[:constant])
    prefix, suffix = slice(0, cut), slice(cut, len(ids))
    images = slice(0, constant), slice(constant, len(counts))
    parts = (
        Part(ids[at], positions[:, at], visual[at].nonzero()[:, 0], shown)
        for at, shown in zip((prefix, suffix), images, strict=True)
    )
    return Template(*parts)


def pack(parts: Sequence[Part], images: Sequence[EncodedImage], embed_tokens: Any) -> Packed:
    """Lay parts one after the other; ``images`` are theirs in order."""
    device, start = embed_tokens.weight.device, 0
    visual = []
    for part in parts:
        visual.append(part.visual + start)
        start += len(part.ids)
    # Nothing here waits for the device.
    ids, positions, pictures = (
        joined.to(device, non_blocking=True)
        for joined in (torch.cat([p.ids for p in parts]), torch.cat([p.positions for p in parts], 1), torch.cat(visual))
    )
    embeds = embed_tokens(ids)
    deepstack: Sequence[Tensor] = ()
    if images:
        tokens, *deepstack = torch.cat([image.tokens for image in images], 1).to(embeds.dtype)
        embeds = embeds.index_copy(0, pictures, tokens)
    return Packed(embeds, positions, pictures, deepstack)
