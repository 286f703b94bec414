"""Episodes that are there twice, under two names or after another compression."""

from __future__ import annotations

from collections.abc import Callable

from lrm_reward_node.data.episode import Facts
from lrm_reward_node.data.looks import look_alike

_MOST = 16
"""Episodes compared per equal hash: a camera that stands still gives many first pictures of the same look."""
_FLAT = "0" * 16


class Duplicates:
    """Remembers episodes in few bytes each; their looks are read again where a hash agrees.

    Args:
        load: facts of an episode by its key.
    """

    def __init__(self, load: Callable[[str], Facts]) -> None:
        self._load = load
        self._contents: dict[str, str] = {}
        self._hashes: dict[str, list[str]] = {}

    def earlier(self, key: str, facts: Facts) -> Facts | None:
        """The earlier episode that shows the same; None for a new one, which is remembered."""
        candidates = [self._contents[facts.content]] if facts.content in self._contents else self._similar(facts)
        for candidate in dict.fromkeys(candidates):
            known = self._load(candidate)
            if known.content == facts.content or look_alike(known.looks, facts.looks):
                return known
        self._contents[facts.content] = key
        for name in {name for name, _ in facts.looks} - {_FLAT}:
            keys = self._hashes.setdefault(name, [])
            if len(keys) < _MOST:
                keys.append(key)
        return None

    def _similar(self, facts: Facts) -> list[str]:
        return [key for name, _ in facts.looks for key in self._hashes.get(name, [])]
