"""Forward pass and loss of a training batch, with the weights of transformers' own modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lrm_reward_node.training.batches import TextBatch
from lrm_reward_node.training.checkpoint import IMAGE_SIDE, MERGE, PATCH
from lrm_reward_node.training.images import Augmentation, patches
from lrm_reward_node.vlm.rope import token_positions
from lrm_reward_node.vlm.vision import encode_images

PATCHES = IMAGE_SIDE // PATCH
TOKENS = PATCHES // MERGE


@dataclass
class Forward:
    """What a forward pass needs beside the batch.

    Attributes:
        model: ``Qwen3VLForConditionalGeneration``; PEFT may have put adapters into it.
        frames: (F, H, W, 3) uint8 frame table on the model's device.
        augmentation: None switches it off.
        generator: random numbers of the augmentation, on the same device.
        train_vision: whether the vision tower gets gradients.
    """

    model: Any
    frames: Tensor
    augmentation: Augmentation | None
    generator: torch.Generator
    train_vision: bool = True

    def losses(self, batches: Sequence[TextBatch]) -> list[tuple[Tensor, Tensor]]:
        """Per batch: loss (cross-entropy per row, nats) and the loss of each row's value tokens (B,), detached."""
        images = torch.cat([self._patches(batch) for batch in batches])
        with torch.set_grad_enabled(self.train_vision and torch.is_grad_enabled()):
            tokens, deepstack = encode_images(self.model.model.visual, images, PATCHES, PATCHES)
        counts = [batch.frames.numel() for batch in batches]
        split = [part.split(counts) for part in (tokens, *deepstack)]
        return [self._text(batch, [part[i] for part in split]) for i, batch in enumerate(batches)]

    def _patches(self, batch: TextBatch) -> Tensor:
        return patches(self.frames, batch.frames.flatten(), self.augmentation, self.generator, batch.frames.shape[1])

    def _text(self, batch: TextBatch, images: list[Tensor]) -> tuple[Tensor, Tensor]:
        config = self.model.config
        text = self.model.model.language_model
        embedded = text.embed_tokens(batch.ids)
        mask = batch.ids == config.image_token_id
        tokens, *deepstack = (part.flatten(0, 1) for part in images)
        embedded = embedded.masked_scatter(mask[..., None], tokens.to(embedded.dtype))
        hidden = text(
            inputs_embeds=embedded,
            position_ids=token_positions(batch.ids, config.image_token_id, TOKENS, TOKENS),
            attention_mask=None,
            use_cache=False,
            visual_pos_masks=mask,
            deepstack_visual_embeds=deepstack,
        ).last_hidden_state
        logits = self.model.lm_head(hidden.flatten(0, 1)[batch.at]).float()
        chosen = functional.log_softmax(logits, -1).gather(1, batch.tokens)
        nats = -(chosen * batch.weights).sum(1)
        rows = batch.at // batch.ids.shape[1]
        per_row = torch.zeros(len(batch.ids), device=nats.device).index_add(0, rows, nats.detach() * batch.value)
        return nats.sum() / len(batch.ids), per_row
