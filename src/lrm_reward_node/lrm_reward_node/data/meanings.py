"""Which task sentences mean the same: a paraphrase is no other task, and never parts from it in a split by task."""

from __future__ import annotations

from collections.abc import Mapping

from lrm_core.episode_sources import Episode


def normal(task: str) -> str:
    """A task sentence without what does not change its meaning: letter case, blanks, the full stop."""
    return " ".join(task.lower().split()).rstrip(". ")


class Meanings:
    """Sentences that are one task, because an episode or the manifest says so.

    Args:
        same_as: sentence -> another one that means the same.

    Attributes:
        unmet: sentences of ``same_as`` that no episode has, so far.
    """

    def __init__(self, same_as: Mapping[str, str] | None = None) -> None:
        self._same: dict[str, str] = {}
        self.unmet = {normal(sentence) for pair in (same_as or {}).items() for sentence in pair}
        for sentence, other in (same_as or {}).items():
            self._join(sentence, other)

    def add(self, episode: Episode) -> None:
        """What an episode says: its sentence has its meaning, in the recordings of others too."""
        self.unmet -= {normal(episode.task), normal(episode.meaning)}
        if episode.task and episode.meaning:
            self._join(episode.task, episode.meaning)

    def of(self, sentence: str) -> str:
        """One and the same text for all sentences of a meaning."""
        found = normal(sentence)
        while found in self._same:
            found = self._same[found]
        return found

    def _join(self, sentence: str, other: str) -> None:
        mine, theirs = self.of(sentence), self.of(other)
        if mine != theirs:
            self._same[mine] = theirs
