"""The reward model itself: Qwen3-VL with one LoRA adapter per head."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus, unknown
from lrm_reward_node import prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.parsing import parse_answer
from lrm_reward_node.readout import ANSWERS, READOUTS, UNREADABLE, Reading, read_distribution
from lrm_reward_node.vlm.answers import AnswerTokens, answer_tokens
from lrm_reward_node.vlm.encoding import ImageEncoder, Row, query_row, rendered, text_inputs
from lrm_reward_node.vlm.loading import Checkpoint, load_checkpoint
from lrm_reward_node.vlm.routed import RoutedRewardModel

logger = logging.getLogger(__name__)

BACKBONE = "backbone"


@dataclass(frozen=True)
class _Item:
    """A query that can be asked, with its place in the batch."""

    index: int
    row: Row


def load(
    path: str,
    adapters: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    readout: str = "logits",
) -> QwenRewardModel | RoutedRewardModel:
    """Load a reward model from a local folder or a hub name; see :func:`load_checkpoint` for the arguments.

    Raises:
        BadInput: something is missing, damaged or did not load.
    """
    if readout not in READOUTS:
        raise BadInput("readout", readout, f"one of {list(READOUTS)}")
    return reward_model(load_checkpoint(path, adapters, device, dtype), readout)


def reward_model(checkpoint: Checkpoint, readout: str = "logits") -> QwenRewardModel | RoutedRewardModel:
    """The model of a checkpoint; a head that is a whole model of its own is answered by that model."""
    model = QwenRewardModel(checkpoint, readout)
    merged = {head: QwenRewardModel(one, readout) for head, one in checkpoint.merged.items()}
    return RoutedRewardModel(model, merged) if merged else model


class QwenRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` on transformers and PEFT. Not thread-safe: one worker owns it."""

    def __init__(self, checkpoint: Checkpoint, readout: str = "logits") -> None:
        self.checkpoint = checkpoint
        self.readout = readout
        self.core = checkpoint.model.get_base_model().model
        self.encoder = ImageEncoder(self.core)
        self.fingerprint = _fingerprint(checkpoint.digest, readout)
        self._answers: dict[RewardHead, AnswerTokens] = {
            head: answer_tokens(processor.tokenizer, ANSWERS[head].texts)
            for head, processor in checkpoint.processors.items()
        }

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One estimate per query, in order; see :class:`lrm_reward_node.model.RewardModel`."""
        readings: list[tuple[Reading, float]] = [(_error("not scored"), float("nan"))] * len(queries)
        by_head: dict[RewardHead, list[_Item]] = {}
        for index, query in enumerate(queries):
            if query.head is RewardHead.CONTRASTIVE and query.reference is None:
                readings[index] = Reading(UNREADABLE, RewardStatus.NO_REFERENCE), float("nan")
                continue
            try:
                by_head.setdefault(query.head, []).append(_Item(index, query_row(query)))
            except BadInput as error:
                readings[index] = _error(str(error)), float("nan")
        for head, items in by_head.items():
            for item, reading in zip(items, self._timed(head, [item.row for item in items]), strict=True):
                readings[item.index] = reading
        return [self._estimate(query, *reading) for query, reading in zip(queries, readings, strict=True)]

    def _timed(self, head: RewardHead, rows: list[Row]) -> list[tuple[Reading, float]]:
        started = time.perf_counter()
        readings = self._guarded(head, rows)
        elapsed_s = time.perf_counter() - started
        return [(reading, elapsed_s) for reading in readings]

    def _guarded(self, head: RewardHead, rows: list[Row]) -> list[Reading]:
        """A batch that fails is asked again row by row, so that one bad row costs only itself."""
        try:
            return self._read(head, rows)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            logger.exception("forward pass of %s failed", head.value)
            if len(rows) == 1:
                return [_error(f"{type(error).__name__}: {error}")]
            return [reading for row in rows for reading in self._guarded(head, [row])]

    @torch.inference_mode()
    def _read(self, head: RewardHead, rows: list[Row]) -> list[Reading]:
        self.checkpoint.model.set_adapter(head.value, inference_mode=True)
        if self.readout == "generate":
            return [_parsed(head, text) for text in self._generate(head, rows)]
        return [read_distribution(head, scores) for scores in self._log_likelihoods(head, rows)]

    def _log_likelihoods(self, head: RewardHead, rows: list[Row]) -> np.ndarray:
        """(B, A) log-likelihood of each legal answer, given the prompt and the answers' common opening, nats."""
        processor, answers = self.checkpoint.processors[head], self._answers[head]
        tower = head.value if head in self.checkpoint.own_vision else BACKBONE
        flat = iter(self.encoder.encode([image for row in rows for image in row.images], processor, tower))
        images = [[next(flat) for _ in row.images] for row in rows]
        inputs = text_inputs(self.core, rows, images, processor, answers.opening)
        output = self.core.language_model(**vars(inputs), use_cache=not answers.single)
        first = torch.log_softmax(self._logits(output.last_hidden_state[:, -1]), -1)
        scores = first[:, [choice[0] for choice in answers.choices]]
        if not answers.single:
            scores = scores + self._continued(output.past_key_values, inputs, answers)
        return scores.cpu().numpy()

    def _continued(self, cache: Any, inputs: Any, answers: AnswerTokens) -> torch.Tensor:
        """(B, A) log-likelihood of the answers' tokens after the first, on the prompt's key-value cache."""
        device, rows, count = inputs.attention_mask.device, len(inputs.attention_mask), len(answers.choices)
        width = max(map(len, answers.choices)) - 1
        fed = torch.zeros((count, width), dtype=torch.long)
        targets, used = torch.zeros_like(fed), torch.zeros((count, width))
        for i, choice in enumerate(answers.choices):
            fed[i, : len(choice) - 1] = torch.tensor(choice[:-1])
            targets[i, : len(choice) - 1] = torch.tensor(choice[1:])
            used[i, : len(choice) - 1] = 1.0
        cache.batch_repeat_interleave(count)
        mask = torch.cat((inputs.attention_mask, inputs.attention_mask.new_ones(rows, width)), 1)
        start = inputs.position_ids.amax((0, 2))[:, None] + 1 + torch.arange(width, device=device)
        output = self.core.language_model(
            inputs_embeds=self.core.language_model.embed_tokens(fed.to(device).repeat(rows, 1)),
            attention_mask=mask.repeat_interleave(count, 0),
            position_ids=start.repeat_interleave(count, 0).expand(3, -1, -1),
            past_key_values=cache,
            use_cache=True,
        )
        likelihoods = torch.log_softmax(self._logits(output.last_hidden_state), -1)
        chosen = likelihoods.gather(-1, targets.to(device).repeat(rows, 1)[..., None])[..., 0]
        return (chosen * used.to(device).repeat(rows, 1)).sum(-1).view(rows, count)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.checkpoint.model.get_base_model().lm_head(hidden).float()

    def _generate(self, head: RewardHead, rows: list[Row]) -> list[str]:
        processor = self.checkpoint.processors[head]
        inputs = processor(
            text=[rendered(row.prompt, processor) for row in rows],
            images=[image for row in rows for image in row.images],
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(self.checkpoint.model.device)
        limit = prompts.MAX_NEW_TOKENS[head]
        output = self.checkpoint.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        new = output[:, inputs["input_ids"].shape[1] :]
        return list(processor.batch_decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _estimate(self, query: RewardQuery, reading: Reading, latency_s: float) -> RewardEstimate:
        fields: dict[str, Any] = {
            "stamp_ns": query.current_stamp_ns,
            "reference_stamp_ns": query.reference_stamp_ns,
            "latency_s": latency_s,
            "raw_text": reading.raw_text,
            "fingerprint": self.fingerprint,
        }
        if reading.status is not RewardStatus.OK:
            return unknown(query.head, reading.status, **fields)
        return RewardEstimate(
            query.head,
            reading.value,
            reading.status,
            uncertainty=reading.uncertainty,
            confidence=reading.confidence,
            **fields,
        )


def _error(reason: str) -> Reading:
    return Reading(UNREADABLE, RewardStatus.MODEL_ERROR, raw_text=reason)


def _parsed(head: RewardHead, text: str) -> Reading:
    value = parse_answer(head, text)
    if value is None:
        return Reading(UNREADABLE, RewardStatus.UNPARSABLE, raw_text=text)
    return Reading(value, RewardStatus.OK, raw_text=text)


def _fingerprint(digest: str, readout: str) -> str:
    templates = [prompts.CONTRASTIVE, prompts.COMPLETION]
    templates += [prompts.progress_template(initial=initial) for initial in (True, False)]
    return hashlib.sha256("\0".join([digest, readout, *templates]).encode()).hexdigest()
