"""Sentences of other tasks, for questions that have to be answered with no."""

from __future__ import annotations

from collections.abc import Iterable

from lrm_reward_node.data.making import OtherTasks
from lrm_reward_node.data.splits import normal

NEAR = 0.5
"""Sentences that share at least this part of their words differ in a thing or two, such as the object."""
_MOST = 32
"""Other sentences that are kept per task: with thousands of tasks, more would say nothing new."""

_ARTICLES = frozenset({"a", "an", "the"})


class TaskTable:
    """The task sentences of each split. Another split's sentence is never asked: a held-out task would leak by it."""

    def __init__(self) -> None:
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
            self._others[key] = _parted(_words(task), ((_words(name), known[name]) for name in sorted(known)))
        return self._others[key]


def _parted(mine: frozenset[str], others: Iterable[tuple[frozenset[str], str]]) -> OtherTasks:
    near: list[tuple[float, str]] = []
    far: list[tuple[float, str]] = []
    for words, sentence in others:
        if words != mine:
            share = len(mine & words) / len(mine | words)
            (near if share >= NEAR else far).append((-share, sentence))
    return OtherTasks([s for _, s in sorted(near)[:_MOST]], [s for _, s in sorted(far)[:_MOST]])


def _words(task: str) -> frozenset[str]:
    """What a sentence is about: the same words in another order, or with another article, may mean the same."""
    return frozenset(normal(task).split()) - _ARTICLES
