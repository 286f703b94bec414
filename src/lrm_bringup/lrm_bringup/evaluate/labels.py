"""Tables of tasks and outcomes that people made: the one beside clips, or a file named by ``--labels``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_reward_node.data.sources.videos import read_table
from lrm_reward_node.evaluation.judged import OUTCOMES, SUCCESS

UNKNOWN = "unknown"
"""The word of a training set's table for an outcome that nobody knows."""


@dataclass(frozen=True)
class Label:
    """What a person wrote down about one episode.

    Attributes:
        task: task sentence; empty: not said.
        outcome: one of ``OUTCOMES``; empty: not said.
        published: name of a model -> (frames,) progress that it gave on every frame, NaN where it gave none.
    """

    task: str = ""
    outcome: str = ""
    published: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def success(self) -> bool | None:
        """None: not said."""
        return self.outcome == SUCCESS if self.outcome else None


def read_labels(path: Path) -> dict[str, Label]:
    """``file`` (or ``episode``) -> label, from a table in any format that ``lrm data`` reads.

    Columns: ``file`` or ``episode``, ``task``, ``outcome``, and in JSON ``published_progress``, an object of lists.

    Raises:
        BadInput: the file cannot be read, or an entry lacks its name, comes twice or has another outcome.
    """
    found: dict[str, Label] = {}
    for number, entry in enumerate(read_table(path, ("file", "episode"), "labels"), 1):
        name = str(entry.get("file") or entry.get("episode"))
        where = f"entry {number} of {path.name}"
        if name in found:
            raise BadInput(where, name, "an object with a file (or episode) that no other entry names")
        outcome = str(entry.get("outcome") or UNKNOWN)
        if outcome not in (*OUTCOMES, UNKNOWN):
            raise BadInput(f"outcome in {where}", outcome, f"one of {[*OUTCOMES, UNKNOWN]}")
        outcome = "" if outcome == UNKNOWN else outcome
        found[name] = Label(str(entry.get("task") or ""), outcome, _published(entry, where))
    if not found:
        raise BadInput("labels", str(path), "a table with at least one entry")
    return found


def label_for(labels: Mapping[str, Label], *names: str) -> Label:
    """The label of the first of these names that has one; an empty one when none has."""
    return next((labels[name] for name in names if name in labels), Label())


def _published(entry: Mapping[str, Any], where: str) -> dict[str, np.ndarray]:
    curves = entry.get("published_progress") or {}
    try:
        found = {str(m): np.array([math.nan if v is None else float(v) for v in c]) for m, c in curves.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"published_progress in {where}", str(curves)[:60], "an object of lists of numbers") from error
    if any(len(curve) != int(entry.get("frames") or len(curve)) for curve in found.values()):
        raise BadInput(f"published_progress in {where}", {m: len(c) for m, c in found.items()}, "one value per frame")
    return found
