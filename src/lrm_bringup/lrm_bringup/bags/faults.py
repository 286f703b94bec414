"""What is wrong with a bag: every kind of fault once per topic, counted, in words that name it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX = 1000
"""Kinds of faults kept apart; a bag that holds more is one ruin."""


@dataclass
class Fault:
    """One kind of fault.

    Attributes:
        where: topic, or file name.
        text: what is wrong, for people; of the first message it hit.
        lost: messages, or stretches of the file, that cannot be used because of it; 0 when it is a warning.
        count: how often it was seen, in the pass that saw it most often.
    """

    where: str
    text: str
    lost: int = 0
    count: int = 0

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.where}: {self.text}{times}"


@dataclass
class Faults:
    """All faults of a bag, in the order in which they were met."""

    _found: dict[tuple[str, str], Fault] = field(default_factory=dict)
    _this_pass: dict[tuple[str, str], Fault] = field(default_factory=dict)

    def begin_pass(self) -> None:
        """The bag is read once more: what is met again is no further fault."""
        self._this_pass.clear()

    def warn(self, where: str, kind: str, text: str = "") -> None:
        """Note something odd that costs nothing. ``kind`` tells faults apart; ``text`` is what people read."""
        self._note(where, kind, text, 0)

    def lose(self, where: str, kind: str, text: str = "", lost: int = 1) -> None:
        """Note that something cannot be used."""
        self._note(where, kind, text, lost)

    def _note(self, where: str, kind: str, text: str, lost: int) -> None:
        if len(self._found) >= _MAX and (where, kind) not in self._found:
            where, kind, text = "bag", "further faults", "further faults of other kinds"
        fault = self._found.setdefault((where, kind), Fault(where, text or kind))
        now = self._this_pass.setdefault((where, kind), Fault(where, text))
        now.count, now.lost = now.count + 1, now.lost + lost
        fault.count, fault.lost = max(fault.count, now.count), max(fault.lost, now.lost)

    def __iter__(self) -> Iterator[Fault]:
        """The faults."""
        return iter(self._found.values())

    @property
    def warnings(self) -> list[Fault]:
        """Faults that cost nothing."""
        return [fault for fault in self if not fault.lost]

    @property
    def losses(self) -> list[Fault]:
        """Faults that cost messages."""
        return [fault for fault in self if fault.lost]

    def of(self, where: str) -> list[Fault]:
        """The faults of one topic."""
        return [fault for fault in self if fault.where == where]
