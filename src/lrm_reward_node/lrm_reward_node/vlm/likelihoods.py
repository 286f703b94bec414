"""Log-likelihoods of the legal answers: all heads and streams in one pass, what is constant from a cache."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrm_core.rewards import RewardHead
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.rows import Row
from lrm_reward_node.vlm.answers import AnswerTokens, answer_tokens
from lrm_reward_node.vlm.cache import BatchCache
from lrm_reward_node.vlm.encoding import EncodedImage, Eye, ImageEncoder
from lrm_reward_node.vlm.loading import Checkpoint
from lrm_reward_node.vlm.templates import Part, Template, TemplateKey, build_template, pack
from lrm_reward_node.vlm.text import Block, Packed, PackedText, adapter_spans, project

BACKBONE = "backbone"
CACHED_TEMPLATES = 256
CACHED_PREFIXES, CACHED_PREFIX_BYTES = 128, 2**31


@dataclass(frozen=True)
class Asked:
    """A row with its template and its encoded pictures."""

    head: RewardHead
    key: TemplateKey
    template: Template
    images: tuple[EncodedImage, ...]

    @property
    def shape(self) -> tuple[str, int, int]:
        """Rows of the same shape make a block."""
        return self.head.value, len(self.template.prefix.ids), len(self.template.suffix.ids)

    @property
    def prefix_key(self) -> Hashable:
        """What the keys and values of the prefix depend on."""
        return self.key, tuple(image.key for image in self.images[self.template.prefix.images])


class AnswerLikelihoods:
    """Scores rows of any heads, tasks and picture sizes in one call."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        base = checkpoint.model.get_base_model()
        self.core, self._lm_head = base.model, base.lm_head
        self.text = PackedText(self.core.language_model)
        self.processors = checkpoint.processors
        self.answers: dict[RewardHead, AnswerTokens] = {
            head: answer_tokens(processor.tokenizer, ANSWERS[head].texts)
            for head, processor in checkpoint.processors.items()
        }
        self.encoder = ImageEncoder(_towers(self.core.visual, checkpoint.own_vision))
        self._eyes = {
            head: Eye(
                head.value if head in checkpoint.own_vision else BACKBONE, processor.image_processor.to_json_string()
            )
            for head, processor in checkpoint.processors.items()
        }
        self._templates: BatchCache[TemplateKey, Template] = BatchCache(CACHED_TEMPLATES, lambda _: 1)
        self._prefixes: BatchCache[Hashable, Tensor] = BatchCache(
            CACHED_PREFIX_BYTES, lambda past: max(past.nbytes, CACHED_PREFIX_BYTES // CACHED_PREFIXES)
        )

    def __call__(self, rows: Sequence[Row]) -> list[np.ndarray]:
        """Per row (A,) log-likelihood of each legal answer, given prompt and the answers' common opening, nats."""
        asked = self._asked(rows)
        order = sorted(range(len(rows)), key=lambda i: asked[i].shape)
        scores = self._score([asked[i] for i in order])
        return [one for _, one in sorted(zip(order, scores, strict=True), key=lambda pair: pair[0])]

    def forget(self) -> None:
        """Empty the caches of pictures and prefixes, which hold most of the memory between two calls."""
        self.encoder.cache.clear()
        self._prefixes.clear()

    def _asked(self, rows: Sequence[Row]) -> list[Asked]:
        encoded: dict[int, list[EncodedImage]] = {}
        for eye in dict.fromkeys(self._eyes[row.head] for row in rows):
            group = [i for i, row in enumerate(rows) if self._eyes[row.head] == eye]
            processor = self.processors[rows[group[0]].head]
            flat = iter(self.encoder.encode([image for i in group for image in rows[i].images], processor, eye))
            encoded |= {i: [next(flat) for _ in rows[i].images] for i in group}
        keys = [
            TemplateKey(row.head, row.prompt, tuple(image.grid for image in encoded[i])) for i, row in enumerate(rows)
        ]
        templates = self._templates.gather(keys, lambda new: [self._template(key) for key in new])
        return [
            Asked(key.head, key, template, tuple(encoded[i]))
            for i, (key, template) in enumerate(zip(keys, templates, strict=True))
        ]

    def _template(self, key: TemplateKey) -> Template:
        return build_template(key, self.core, self.processors[key.head], self.answers[key.head].opening)

    def _score(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """Scores of rows that are sorted by shape."""
        pasts = self._pasts(asked)
        packed = self._pack([(one.template.suffix, one) for one in asked])
        blocks = _blocks(asked, pasts)
        more = any(not self.answers[one.head].single for one in asked)
        hidden, memory = self.text.forward(packed, blocks, keep_past=more)
        first = self._log_softmax(hidden, blocks, [block.rows for block in blocks])
        scores: list[Tensor] = []
        start = 0
        for index, block in enumerate(blocks):
            answers, end = self.answers[asked[start].head], start + block.rows
            likelihood = first[start:end][:, [choice[0] for choice in answers.choices]]
            if not answers.single:
                ends = torch.stack([one.template.end for one in asked[start:end]])
                likelihood = likelihood + self._continued(block, memory[index], ends, answers)
            scores.extend(likelihood)
            start = end
        return [one.numpy(force=True) for one in scores]

    def _pasts(self, asked: Sequence[Asked]) -> list[Tensor]:
        """Per row (layers, 2, key-value heads, P, head) keys and values of its prefix."""
        keys = [one.prefix_key for one in asked]
        by_key = dict(zip(keys, asked, strict=True))
        return self._prefixes.gather(keys, lambda new: self._prefix_forward([by_key[key] for key in new]))

    def _prefix_forward(self, asked: Sequence[Asked]) -> list[Tensor]:
        packed = self._pack([(one.template.prefix, one) for one in asked])
        blocks = [Block(head, len(group), prefix) for (head, prefix), group in _runs(asked, lambda one: one.shape[:2])]
        _, memory = self.text.forward(packed, blocks, keep_past=True)
        return [past[:, :, row].clone() for past in memory for row in range(past.shape[2])]

    def _pack(self, parts: Sequence[tuple[Part, Asked]]) -> Packed:
        images = [image for part, one in parts for image in one.images[part.images]]
        return pack([part for part, _ in parts], images, self.text.model.embed_tokens, self.core.config.image_token_id)

    def _continued(self, block: Block, memory: Tensor, ends: Tensor, answers: AnswerTokens) -> Tensor:
        """(rows, A) log-likelihood of the answers' tokens after the first.

        All answers of a row lie one after the other and see the prompt and their own tokens only.
        """
        device = memory.device
        owner = torch.tensor([i for i, choice in enumerate(answers.choices) for _ in choice[1:]], device=device)
        depth = torch.tensor([at for choice in answers.choices for at in range(len(choice) - 1)], device=device)
        fed = torch.tensor([token for choice in answers.choices for token in choice[:-1]], device=device)
        targets = torch.tensor([token for choice in answers.choices for token in choice[1:]], device=device)
        own = (owner[:, None] == owner) & (depth[:, None] >= depth)
        mask = torch.cat((own.new_ones(len(fed), memory.shape[-2]), own), 1)
        continued = Block(block.adapter, block.rows, len(fed), memory, mask)
        positions = (ends.T[:, :, None] + depth).flatten(1)
        packed = Packed(self.text.model.embed_tokens(fed.repeat(block.rows)), positions, fed.new_empty(0))
        hidden, _ = self.text.forward(packed, [continued], last_only=False)
        likelihoods = self._log_softmax(hidden, [continued], [block.rows * len(fed)])
        chosen = likelihoods.gather(1, targets.repeat(block.rows)[:, None]).view(block.rows, -1)
        return chosen.new_zeros(block.rows, len(answers.choices)).index_add(1, owner, chosen)

    def _log_softmax(self, hidden: Tensor, blocks: Sequence[Block], counts: Sequence[int]) -> Tensor:
        spans = adapter_spans([(block.adapter, count) for block, count in zip(blocks, counts, strict=True)])
        return torch.log_softmax(project(self._lm_head, hidden, spans).float(), -1)


def _towers(visual: Any, own_vision: frozenset[RewardHead]) -> dict[str, Any]:
    """Vision towers by name: the backbone's and those that adapters bring."""
    if not own_vision:
        return {BACKBONE: visual}
    return {BACKBONE: visual.original_module} | {head.value: visual.modules_to_save[head.value] for head in own_vision}


def _runs(asked: Sequence[Asked], key: Any) -> list[tuple[Any, list[Asked]]]:
    return [(shape, list(group)) for shape, group in groupby(asked, key)]


def _blocks(asked: Sequence[Asked], pasts: Sequence[Tensor]) -> list[Block]:
    blocks, start = [], 0
    for (head, _, length), group in _runs(asked, lambda one: one.shape):
        past = torch.stack(list(pasts[start : start + len(group)]), 2)
        blocks.append(Block(head, len(group), length, past))
        start += len(group)
    return blocks
