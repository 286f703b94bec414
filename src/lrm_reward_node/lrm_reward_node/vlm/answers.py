"""Token sequences of the legal answers: what they share is forced, what tells them apart is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
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
    opening = _common_start(rows)
    rest = [row[len(opening) :] for row in rows]
    closing = _common_start([row[::-1] for row in rest])
    choices = tuple(row[: len(row) - len(closing)] for row in rest)
    if any(not choice for choice in choices):  # one answer is the start of another: score the closing too
        choices = tuple(rest)
    return AnswerTokens(opening, choices)


def _common_start(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    same = takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))
    return tuple(column[0] for column in same)
