"""The three prompts and the auxiliary questions as tables of token ids, so that a batch is a gather.

A row is one prompt with its answer: text, image tokens, answer opening, one or two value tokens, closing, end of turn.
The value tokens are filled in per sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerFast

from lrm_core.rewards import RewardHead
from lrm_reward_node import prompts
from lrm_reward_node.prompts import Prompt
from lrm_reward_node.readout import ANSWERS
from lrm_reward_node.training.checkpoint import IMAGE_SIDE, MERGE, PATCH

BINS = 10
BIN_PIECES = {axis: tuple(f"<{axis}{i}>" for i in range(BINS)) for axis in "xyzd"}
IMAGE_TOKENS = (IMAGE_SIDE // (PATCH * MERGE)) ** 2
_VALUE = -1
"""Stands for a value token until a sample fills it."""


def auxiliary_pieces() -> list[str]:
    """Fixed texts of the auxiliary questions: bins of position, height and distance."""
    return [piece for pieces in BIN_PIECES.values() for piece in pieces]


@dataclass
class PromptTable:
    """Rows of token ids for prompts with the same number of images.

    Attributes:
        images: number of images per row.
    """

    tokenizer: PreTrainedTokenizerFast
    images: int
    _rows: list[list[int]] = field(default_factory=list)
    _known: dict[tuple[str, ...], int] = field(default_factory=dict)

    def head(self, head: RewardHead, task: str, initial: bool = True) -> int:
        """Row of a published prompt."""
        answer = ANSWERS[head].texts[0]
        value = _common(ANSWERS[head].texts)
        prompt = prompts.build(head, task, initial=initial)
        return self._row(prompt, (answer[: value[0]], answer[len(answer) - value[1] :]), 1)

    def auxiliary(self, question: str, values: int = 1) -> int:
        """Row of an auxiliary question about one picture, answered with ``values`` tokens."""
        return self._row(Prompt((f"Question: {question}", "")), ("", ""), values)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Token ids (P, L) padded on the right, value positions (P, 2), -1: none; answer starts and ends (P,)."""
        width = max(map(len, self._rows))
        pad = self.tokenizer.pad_token_id
        ids = np.array([row + [pad] * (width - len(row)) for row in self._rows])
        spots = np.full((len(ids), 2), -1)
        for index, row in enumerate(ids):
            at = np.flatnonzero(row == _VALUE)
            spots[index, : len(at)] = at
        ends = np.array([len(row) for row in self._rows])
        turn = self.tokenizer.convert_tokens_to_ids("<|im_start|>")
        starts = np.array([len(row) - row[::-1].index(turn) + 1 for row in self._rows])
        return np.where(ids == _VALUE, pad, ids), spots, starts, ends

    def _row(self, prompt: Prompt, frame: tuple[str, str], values: int) -> int:
        assert prompt.images == self.images
        key = (*prompt.segments, *frame, str(values))
        if key not in self._known:
            self._known[key] = len(self._rows)
            self._rows.append(self._tokens(prompt, frame, values))
        return self._known[key]

    def _tokens(self, prompt: Prompt, frame: tuple[str, str], values: int) -> list[int]:
        image = "<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
        text = f"<|im_start|>user\n{image.join(prompt.segments)}<|im_end|>\n<|im_start|>assistant\n{frame[0]}"
        closing = self.tokenizer.encode(f"{frame[1]}<|im_end|>", add_special_tokens=False)
        return self.tokenizer.encode(text, add_special_tokens=False) + [_VALUE] * values + closing


def _common(texts: tuple[str, ...]) -> tuple[int, int]:
    """Lengths of the opening and of the closing of ``{ "key": value }``, quotes included."""
    opening = texts[0].index(":") + 2
    quoted = int(texts[0][opening] == '"')
    return opening + quoted, len(" }") + quoted


def value_tokens(tokenizer: PreTrainedTokenizerFast, texts: tuple[str, ...]) -> np.ndarray:
    """The single token of each text; the tokenizer is built so that there is one."""
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    assert all(len(one) == 1 for one in ids), f"more than one token in {texts}: {ids}"
    return np.array([one[0] for one in ids])
