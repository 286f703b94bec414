"""Token sequences of the legal answers: what they share is forced, what tells them apart is scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AnswerTokens:
    """Legal answers of one head under one tokenizer.

    Attributes:
        opening: tokens that all answers start with; they are appended to the prompt.
        choices: per answer, the tokens after the opening and before the common closing; at least one each.
    """

    opening: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]

    @property
    def single(self) -> bool:
        """True when one token decides: then the prompt's own forward pass scores all answers."""
        return all(len(choice) == 1 for choice in self.choices)


def answer_tokens(tokenizer: Any, texts: Sequence[str]) -> AnswerTokens:
    """Split the tokenised answers into opening, choice and closing."""
    rows = [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    opening = os.path.commonprefix(rows)
    rest = [row[len(opening) :] for row in rows]
    closing = os.path.commonprefix([row[::-1] for row in rest])
    choices = tuple(row[: len(row) - len(closing)] for row in rest)
    if any(not choice for choice in choices):  # one answer is the start of another: score the closing too
        choices = tuple(rest)
    return AnswerTokens(tuple(opening), choices)
