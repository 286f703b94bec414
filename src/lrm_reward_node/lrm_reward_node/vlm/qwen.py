"""The reward model itself: Qwen3-VL with one LoRA adapter per head."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence

import torch

from lrm_core.errors import BadInput
from lrm_core.rewards import RewardEstimate, RewardHead, RewardStatus
from lrm_reward_node import golden, prompts
from lrm_reward_node.model import RewardQuery
from lrm_reward_node.readout import (
    UNREADABLE,
    Reading,
    check_readout,
    estimate,
    failed,
    read_distribution,
    read_text,
    readout_identity,
)
from lrm_reward_node.rows import Row, query_row
from lrm_reward_node.vlm.encoding import rendered
from lrm_reward_node.vlm.files import resolve_folder
from lrm_reward_node.vlm.likelihoods import AnswerLikelihoods
from lrm_reward_node.vlm.loading import Checkpoint, load_checkpoint
from lrm_reward_node.vlm.routed import RoutedRewardModel

logger = logging.getLogger(__name__)


def load(
    path: str,
    adapters: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    readout: str = "logits",
    parsing: str = "strict",
    quantization: str = "none",
) -> QwenRewardModel | RoutedRewardModel:
    """Load a reward model from a local folder or a hub name; see :func:`load_checkpoint` for the arguments.

    Raises:
        BadInput: something is missing, damaged or did not load.
    """
    check_readout(readout, parsing)
    checkpoint = load_checkpoint(path, adapters, device, dtype, quantization)
    # Golden scores are those of the weights as they are: a quantized model has a digest of its own.
    doubt = golden.doubt(resolve_folder("model", adapters or path), checkpoint.digest) if quantization == "none" else ""
    if doubt:
        logger.warning(doubt)
    return reward_model(checkpoint, readout, parsing)


def reward_model(
    checkpoint: Checkpoint, readout: str = "logits", parsing: str = "strict"
) -> QwenRewardModel | RoutedRewardModel:
    """The model of a checkpoint; a head that is a whole model of its own is answered by that model."""
    model = QwenRewardModel(checkpoint, readout, parsing)
    merged = {head: QwenRewardModel(one, readout, parsing) for head, one in checkpoint.merged.items()}
    return RoutedRewardModel(model, merged) if merged else model


class QwenRewardModel:
    """A :class:`lrm_reward_node.model.RewardModel` on transformers and PEFT. Not thread-safe: one worker owns it."""

    def __init__(self, checkpoint: Checkpoint, readout: str = "logits", parsing: str = "strict") -> None:
        self.checkpoint = checkpoint
        self.readout, self.parsing = readout, parsing
        self.log_likelihoods = AnswerLikelihoods(checkpoint)
        self.fingerprint = _fingerprint(checkpoint.digest, readout_identity(readout, parsing))

    def score(self, queries: Sequence[RewardQuery]) -> list[RewardEstimate]:
        """One estimate per query, in order; see :class:`lrm_reward_node.model.RewardModel`."""
        readings: list[Reading] = [Reading(UNREADABLE, RewardStatus.NO_REFERENCE)] * len(queries)
        rows: dict[int, Row] = {}
        for index, query in enumerate(queries):
            if query.head is RewardHead.CONTRASTIVE and query.reference is None:
                continue
            try:
                rows[index] = query_row(query)
            except BadInput as error:
                readings[index] = failed(str(error))
        started = time.perf_counter()
        for index, reading in zip(rows, self._guarded(list(rows.values())), strict=True):
            readings[index] = reading
        elapsed_s = time.perf_counter() - started
        latencies_s = [elapsed_s if index in rows else float("nan") for index in range(len(queries))]
        return [estimate(*one, self.fingerprint) for one in zip(queries, readings, latencies_s, strict=True)]

    def _guarded(self, rows: list[Row]) -> list[Reading]:
        """A batch that fails is asked again in halves: a bad row costs only itself, a batch too large for the memory
        is cut until it fits.
        """
        if not rows:
            return []
        try:
            return self._read(rows)
        except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}".strip(": ")
            exhausted = _out_of_memory(error)
            logger.error("forward pass of %d rows failed: %s", len(rows), reason, exc_info=not exhausted)
        # Not in the handler: while the error lives, its traceback holds the tensors of the failed pass.
        if exhausted:
            self._give_back_memory()
        if len(rows) == 1:
            return [failed(reason)]
        middle = len(rows) // 2
        return self._guarded(rows[:middle]) + self._guarded(rows[middle:])

    def _give_back_memory(self) -> None:
        self.log_likelihoods.forget()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _read(self, rows: list[Row]) -> list[Reading]:
        if self.readout == "generate":
            return self._generated(rows)
        scores = self.log_likelihoods(rows)
        return [read_distribution(row.head, one) for row, one in zip(rows, scores, strict=True)]

    def _generated(self, rows: list[Row]) -> list[Reading]:
        readings: dict[int, Reading] = {}
        for head in RewardHead:
            at = [i for i, row in enumerate(rows) if row.head is head]
            if at:
                texts = self._generate(head, [rows[i] for i in at])
                readings |= {i: read_text(head, text, self.parsing) for i, text in zip(at, texts, strict=True)}
        return [readings[i] for i in range(len(rows))]

    def _generate(self, head: RewardHead, rows: list[Row]) -> list[str]:
        processor = self.checkpoint.processors[head]
        self.checkpoint.model.set_adapter(head.value, inference_mode=True)
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


def _out_of_memory(error: Exception) -> bool:
    """Memory of the device or of the machine; the CPU's allocator and CUDA's libraries raise a plain RuntimeError."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in said or "alloc" in said


def _fingerprint(digest: str, readout: str) -> str:
    return hashlib.sha256("\0".join([digest, readout, *prompts.all_templates()]).encode()).hexdigest()
