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
from lrm_reward_node.vlm.tree import AnswerTree

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
        device = self.core.language_model.embed_tokens.weight.device
        self._trees = {head: AnswerTree(answers, device) for head, answers in self.answers.items()}
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
        return build_template(key, self.core, self.processors[key.head], self.answers[key.head])

    def _score(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """Scores of rows that are sorted by shape."""
        pasts = self._pasts(asked)
        packed = self._pack([(one.template.suffix, one) for one in asked])
        blocks = self._blocks(asked, pasts)
        hidden, _ = self.text.forward(packed, blocks)
        counts = [block.rows * block.answered for block in blocks]
        likelihoods = self._log_softmax(hidden, blocks, counts).split(counts)
        scores = [
            self._trees[RewardHead(block.adapter)].read(one.unflatten(0, (block.rows, block.answered)))
            for block, one in zip(blocks, likelihoods, strict=True)
        ]
        values = torch.cat([one.flatten() for one in scores]).numpy(force=True)  # the only wait for the device
        sizes = [one.shape[1] for one in scores for _ in range(len(one))]
        return np.split(values, np.cumsum(sizes)[:-1])

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
        return pack([part for part, _ in parts], images, self.text.model.embed_tokens)

    def _blocks(self, asked: Sequence[Asked], pasts: Sequence[Tensor]) -> list[Block]:
        blocks, start = [], 0
        for (head, _, length), group in _runs(asked, lambda one: one.shape):
            past = torch.stack(list(pasts[start : start + len(group)]), 2)
            blocks.append(Block(head, len(group), length, past, self._trees[group[0].head].seen))
            start += len(group)
        return blocks

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
