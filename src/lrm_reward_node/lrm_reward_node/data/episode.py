"""What a build knows of an episode, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lrm_core.episode_sources import Episode


@dataclass(frozen=True)
class Problem:
    """Something wrong with an episode.

    Attributes:
        kind: one of :data:`PROBLEMS`.
        text: what, in words.
    """

    kind: str
    text: str

    @property
    def fatal(self) -> bool:
        """True when the episode cannot be used."""
        return PROBLEMS[self.kind]


PROBLEMS = {
    "unreadable": True,
    "no frames": True,
    "one frame": True,
    "no task": True,
    "bad task": True,
    "no scene": True,
    "duplicate": True,
    "nothing moves": True,
    "unknown outcome": True,
    "broken frames": False,
    "damaged recording": False,
    "frames missing": False,
    "variable rate": False,
    "rate disagrees": False,
    "stamps out of order": False,
    "bad states": False,
    "bad truth": False,
    "several tasks": False,
}
"""Kind of problem -> whether the episode is left out for it."""


@dataclass
class Facts:
    """What a build keeps of an episode besides its pictures; it lies beside them as JSON.

    Attributes:
        source: name of the source in the manifest.
        episode: the episode, task and outcome as the manifest has them in the end.
        stamps_ns: (K,) stamps of the kept frames.
        start, end: first and last kept frame in which something happens.
        progress: (K,) true progress, None where it is unknown; empty where nobody knows it.
        success: (K,) true success, likewise.
        recorded: frames of the recording.
        content: hash of the kept pictures; empty without any.
        looks: hash of how a few of them look, 16 hex digits each, and their 16x16 grey thumbnails as hex.
        problems: what is wrong with it.
    """

    source: str
    episode: Episode
    stamps_ns: list[int] = field(default_factory=list)
    start: int = 0
    end: int = 0
    progress: list[float | None] = field(default_factory=list)
    success: list[bool | None] = field(default_factory=list)
    recorded: int = 0
    content: str = ""
    looks: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """True when samples can be made of it."""
        return not any(problem.fatal for problem in self.problems)

    @property
    def group(self) -> str:
        """What never parts in a split by episode; names of episodes say nothing beyond their source."""
        return self.episode.group or f"{self.source}/{self.episode.id}"
