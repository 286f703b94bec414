"""Token sequences of the legal answers: what they share is forced, what tells them apart is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

Path = tuple[int, ...]
"""Tokens after the opening."""


@dataclass(frozen=True)
class AnswerTokens:
    """Legal answers of one head under one tokenizer, as a tree whose root is the end of the opening.

    Attributes:
        opening: tokens that all answers start with; they are appended to the prompt.
        choices: per answer, the tokens after the opening and before the common closing; at least one each.
    """

    opening: tuple[int, ...]
    choices: tuple[Path, ...]

    @cached_property
    def branches(self) -> tuple[Path, ...]:
        """Paths after which an answer goes on, shortest first, the root left out; none where one token decides."""
        paths = dict.fromkeys(choice[:depth] for choice in self.choices for depth in range(1, len(choice)))
        return tuple(sorted(paths, key=len))

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Every step of some answer: where it starts, 0 for the root and 1 + i for branch i, and its token."""
        return tuple(dict.fromkeys(step for choice in self.choices for step in self._steps(choice)))

    @cached_property
    def routes(self) -> tuple[tuple[int, ...], ...]:
        """Per answer, its steps as indices of ``edges``."""
        index = {edge: i for i, edge in enumerate(self.edges)}
        return tuple(tuple(index[step] for step in self._steps(choice)) for choice in self.choices)

    def _steps(self, choice: Path) -> list[tuple[int, int]]:
        at = {path: i for i, path in enumerate(((), *self.branches))}
        return [(at[choice[:depth]], token) for depth, token in enumerate(choice)]


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
