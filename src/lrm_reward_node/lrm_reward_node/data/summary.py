"""``data.json``: what a finished build holds, for programs. Written last: a folder without it is not finished."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lrm_core.disk import whole_file
from lrm_core.errors import BadInput

SUMMARY = "data.json"
VERSION = 3
"""Another one where samples are made or stored in another way: an index of the old way is made anew."""


@dataclass
class Summary:
    """What a build made.

    Attributes:
        index: folder of the index within the data folder.
        manifest: fingerprint of the manifest.
        splits_by: what never stands in two splits.
        asked_splits: splits with a share above 0, or to which something is assigned.
        source_weights: source -> its weight in the manifest.
        episodes: rows of source, split (empty: left out), outcome and count.
        samples: rows of head, split, source, answer (number), made and count.
        tasks: split -> number of task sentences.
        asked_as_no: pairs of sentences that are asked as different tasks, those with most words in common.
        problems: rows of source, episode, kind and text, at most :data:`MOST_PROBLEMS`.
        problem_counts: kind -> episodes.
        version: of this format.
    """

    index: str
    manifest: str
    splits_by: str
    asked_splits: list[str]
    source_weights: dict[str, float]
    episodes: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    asked_as_no: list[list[str]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    problem_counts: dict[str, int] = field(default_factory=dict)
    version: int = VERSION

    def __post_init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, int]] = Counter()
        for row in self.samples:
            self._counts[row["head"], row["split"], row["source"], row["answer"]] += row["count"]
        self._scale: dict[tuple[str, str], dict[str, float]] = {}

    def weight(self, head: str, split: str, source: str, answer: int) -> float:
        """How often to draw a sample with this source and answer, so that the mean over all samples is 1."""
        if (head, split) not in self._scale:
            self._scale[head, split] = self._scales(head, split)
        return (
            self._scale[head, split][source] / self._counts[head, split, source, answer]
            if self._counts[head, split, source, answer]
            else 0.0
        )

    def _scales(self, head: str, split: str) -> dict[str, float]:
        """Source -> what its answers share among their samples: its share of all draws, over its kinds of answers."""
        here = {key: count for key, count in self._counts.items() if key[:2] == (head, split)}
        answers = Counter(source for _, _, source, _ in here)
        total = sum(self.source_weights[source] for source in answers)
        samples = sum(here.values())
        return {
            source: samples * self.source_weights[source] / total / kinds if total else 0.0
            for source, kinds in answers.items()
        }

    def count(self, head: str, split: str) -> int:
        """Samples of a head and split."""
        return sum(count for key, count in self._counts.items() if key[:2] == (head, split))


MOST_PROBLEMS = 1000


def read_summary(folder: Path) -> Summary:
    """The summary of a finished build.

    Raises:
        BadInput: there is none.
    """
    try:
        values = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            raise ValueError(f"its format is version {values['version']}, this program reads {VERSION}")
        return Summary(**values)
    except (OSError, ValueError, LookupError, TypeError) as error:
        fix = f"({error}) Make it with lrm data build; a build that was interrupted goes on when it is started again."
        raise BadInput("data folder", str(folder), f"the folder of a finished build, with {SUMMARY}", fix) from error


def write_summary(folder: Path, summary: Summary) -> None:
    """Write the summary; it is there whole or not at all."""
    text = json.dumps(asdict(summary), indent=1, sort_keys=True)
    with whole_file(folder / SUMMARY) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
