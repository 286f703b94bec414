"""Sentences of other tasks, for questions that have to be answered with no."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lrm_reward_node.data.making import OtherTasks
from lrm_reward_node.data.meanings import Meanings, normal

NEAR = 0.5
"""Sentences that share at least this part of their words differ in a thing or two, such as the object."""
_MOST = 32
"""Other sentences that are kept per task: with thousands of tasks, more would say nothing new."""

_ARTICLES = frozenset({"a", "an", "the"})


class TaskTable:
    """The task sentences of each split. Another split's sentence is never asked: a held-out task would leak by it.

    Args:
        meanings: of sentences; one of equal meaning is no other task.
    """

    def __init__(self, meanings: Meanings | None = None) -> None:
        self._meanings = meanings or Meanings()
        self._sentences: dict[str, dict[str, str]] = {}
        self._others: dict[tuple[str, str], OtherTasks] = {}

    def add(self, split: str, task: str) -> None:
        """One task of a split."""
        self._sentences.setdefault(split, {}).setdefault(normal(task), task)

    def counts(self) -> dict[str, int]:
        """Split -> number of its sentences."""
        return {split: len(tasks) for split, tasks in sorted(self._sentences.items())}

    def others(self, split: str, task: str) -> OtherTasks:
        """Sentences of ``split`` that mean something else than ``task``."""
        key = (split, normal(task))
        if key not in self._others:
            known = self._sentences.get(split, {})
            meaning = self._meanings.of(task)
            self._others[key] = _parted(task, (known[n] for n in sorted(known) if self._meanings.of(n) != meaning))
        return self._others[key]

    def nearest(self, most: int, negatives: Collection[str]) -> list[list[str]]:
        """Pairs of which one sentence was given out for the other: at most so many, those with most words in common.

        Args:
            negatives: kinds of made failures that are asked.
        """
        pairs = {}
        for (split, name), others in self._others.items():
            near = others.near if "other_object" in negatives else ()
            far = others.far if "wrong_sentence" in negatives else ()
            for other in [*near, *far][:most]:
                first, second = sorted((self._sentences[split][name], other))
                pairs[first, second] = -_in_common(_words(first), _words(second))
        return [list(pair) for pair in sorted(pairs, key=lambda pair: (pairs[pair], pair))[:most]]


def _parted(task: str, others: Iterable[str]) -> OtherTasks:
    near: list[tuple[float, str]] = []
    far: list[tuple[float, str]] = []
    mine = _words(task)
    for sentence in others:
        words = _words(sentence)
        if words != mine:
            share = _in_common(mine, words)
            (near if share >= NEAR else far).append((-share, sentence))
    return OtherTasks([s for _, s in sorted(near)[:_MOST]], [s for _, s in sorted(far)[:_MOST]])


def _in_common(mine: frozenset[str], words: frozenset[str]) -> float:
    return len(mine & words) / len(mine | words)


def _words(task: str) -> frozenset[str]:
    """What a sentence is about: the same words in another order, or with another article, may mean the same."""
    return frozenset(normal(task).split()) - _ARTICLES
