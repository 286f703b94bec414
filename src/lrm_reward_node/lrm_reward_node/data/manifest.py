"""The manifest of a training set: a YAML file, checked as a whole before anything is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrm_core.episode_sources import OUTCOMES, EpisodeSource
from lrm_core.errors import BadInput, LrmError
from lrm_core.params import param
from lrm_core.yaml_tree import Checked, Node, parse
from lrm_reward_node.data import registry

NEGATIVES = ("truncated", "rewound", "wrong_sentence", "other_object", "frozen")
SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Filter:
    """Which episodes of a source are taken; an empty list takes all."""

    outcomes: list[str] = param([], "Outcomes to take.", choices=OUTCOMES)  # noqa: RUF009
    tasks: list[str] = param([], "Task sentences to take.")  # noqa: RUF009
    min_frames: int = param(2, "Episodes with fewer kept frames are left out.", low=2)
    max_episodes: int = param(0, "At most so many, the first ones; 0: all.", low=0)


@dataclass(frozen=True)
class Frames:
    """Which frames of an episode are kept, and how."""

    rate_hz: float = param(2.0, "At most so many frames a second; first and last stay.", unit="Hz", low=0.001, high=1e3)
    max_frames: int = param(64, "Longer episodes are thinned further, evenly.", low=2, high=100_000)
    max_side_px: int = param(640, "Larger pictures are made smaller.", unit="px", low=32, high=8192)
    format: str = param("jpeg", "File format; png keeps every pixel.", choices=["jpeg", "png"])


@dataclass(frozen=True)
class Splits:
    """How episodes are divided. The share of a split is met on average: a hash decides, so that adding episodes moves
    none of the others.
    """

    by: str = param("episode", "What never stands in two splits.", choices=["episode", "task", "scene"])
    train: float = param(0.9, "Share of the training split.", low=0.0, high=1.0)
    validation: float = param(0.1, "Share of the validation split.", low=0.0, high=1.0)
    test: float = param(0.0, "Share of the test split.", low=0.0, high=1.0)
    seed: int = param(0, "Another number, another division.", low=0)
    assign: dict[str, str] = field(
        default_factory=dict, metadata={"doc": "Task, scene or episode -> split, by hand.", "values": SPLIT_NAMES}
    )


@dataclass(frozen=True)
class Sampling:
    """Which questions are made of an episode."""

    gaps: list[int] = param([1, 2, 4, 8], "Frames between the two pictures of a comparison; 1 is a near pair.", low=1)  # noqa: RUF009
    trim: bool = param(True, "Cut idle starts and ends before progress is read off the clock.")
    initial: float = param(1.0, "Share of progress questions with the initial picture.", low=0.0, high=1.0)
    goal: float = param(0.0, "Share of progress questions with the last picture of a success.", low=0.0, high=1.0)
    negatives: list[str] = param(list(NEGATIVES), "Kinds of made failures.", choices=NEGATIVES)  # noqa: RUF009
    negatives_per_episode: int = param(4, "Questions of each kind of made failure, at most.", low=1, high=1000)
    same_as: dict[str, str] = field(
        default_factory=dict, metadata={"doc": "Task sentence -> another one that means the same."}
    )
    seed: int = param(0, "Another number, other draws.", low=0)


@dataclass(frozen=True)
class SourceEntry:
    """One source of the manifest.

    Attributes:
        options: instance of the options of its kind.
        folder: folder of the manifest.
    """

    kind: str
    name: str
    options: Any
    folder: Path
    task: str = ""
    outcome: str = ""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    split: str = ""
    filter: Filter = field(default_factory=Filter)

    def open(self) -> EpisodeSource:
        """The source; raises :class:`BadInput` when there is nothing to read."""
        try:
            return registry.spec(self.kind).open(self.options, self.folder)
        except BadInput as error:
            raise BadInput(f"{error.field} of source {self.name}", error.value, error.allowed, error.fix) from error


@dataclass(frozen=True)
class Manifest:
    """A training set as it was asked for."""

    path: Path
    sources: tuple[SourceEntry, ...]
    frames: Frames = field(default_factory=Frames)
    splits: Splits = field(default_factory=Splits)
    sampling: Sampling = field(default_factory=Sampling)

    def fingerprint(self) -> str:
        """Changes with every value, not with comments or the place of the file."""
        values = dataclasses.asdict(self)
        values.pop("path")
        for source in values["sources"]:
            source.pop("folder")
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def asked_splits(manifest: Manifest) -> list[str]:
    """Splits that should hold something: with a share, or with something put there by hand."""
    by_hand = {*manifest.splits.assign.values(), *(source.split for source in manifest.sources)}
    return [name for name in SPLIT_NAMES if getattr(manifest.splits, name) > 0.0 or name in by_hand]


class BadManifest(LrmError):
    """Everything that is wrong with a manifest, one line each."""

    def __init__(self, path: str, problems: list[str]) -> None:
        self.path, self.problems = path, problems
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{path}: {len(problems)} problem{'s' * (len(problems) != 1)} in the manifest{lines}")

    def __reduce__(self) -> tuple[type[BadManifest], tuple[str, list[str]]]:
        return type(self), (self.path, self.problems)


@dataclass(frozen=True)
class _Common:
    """Keys that every source has."""

    kind: str = param("", "Kind of source.")
    name: str = param("", "Name in reports and origins; default: the kind and a number.")
    task: str = param("", "Task sentence; replaces the recorded ones.")
    outcome: str = param("", "Outcome of all its episodes.", choices=["", *OUTCOMES])
    outcomes: dict[str, str] = field(
        default_factory=dict, metadata={"doc": "Word of the recording -> outcome.", "values": OUTCOMES}
    )
    weight: float = param(1.0, "How often it is drawn from, beside the others.", low=0.0, high=1e6)
    split: str = param("", "Puts all its episodes into one split.", choices=["", *SPLIT_NAMES])


def load(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        BadInput: the file cannot be read, or is no YAML.
        BadManifest: it says something that cannot be; all of it is named, with line, value and what is allowed.
    """
    root, checked = parse(path, "manifest", "sources, frames, splits and sampling"), Checked()
    checked.names(root, {"sources": None, "frames": Frames, "splits": Splits, "sampling": Sampling})
    frames, splits, sampling = (
        checked.build(Frames, root.child("frames")),
        checked.build(Splits, root.child("splits")),
        checked.build(Sampling, root.child("sampling")),
    )
    sources = _sources(root, path.resolve().parent, checked)
    total = splits.train + splits.validation + splits.test if splits else 1.0
    if abs(total - 1.0) > 1e-6:
        checked.note(root.child("splits"), f"splits: train + validation + test is {total:g}: expected 1")
    if checked.problems or frames is None or splits is None or sampling is None:
        raise BadManifest(str(path), checked.problems)
    return Manifest(path, tuple(sources), frames, splits, sampling)


def _sources(root: Node, folder: Path, checked: Checked) -> list[SourceEntry]:
    node = root.child("sources")
    if not isinstance(node.value, list) or not node.value:
        checked.note(node, "sources: expected a list with at least one source, each with its kind")
        return []
    found = [_source(child, folder, index, checked) for index, child in enumerate(node.children())]
    entries = [entry for entry in found if entry is not None]
    names = [entry.name for entry in entries]
    for name in sorted({name for name in names if names.count(name) > 1}):
        checked.note(node, f"sources: the name {name!r} stands twice: expected a name of its own for each")
    return entries


def _source(node: Node, folder: Path, index: int, checked: Checked) -> SourceEntry | None:
    if not isinstance(node.value, dict):
        checked.note(node, f"{node.path} is {node.value!r}: expected keys such as kind and path")
        return None
    kind = node.value.get("kind")
    known = list(registry.kinds())
    if kind not in known:
        checked.choice(node.child("kind"), kind, known)
        return None
    options = registry.spec(kind).options
    checked.names(node, {"filter": Filter} | dict.fromkeys(_fields(_Common) + _fields(options)))
    common = checked.build(_Common, node, only=_fields(_Common))
    made = checked.build(options, node, only=_fields(options))
    taken = checked.build(Filter, node.child("filter"))
    if common is None or made is None or taken is None:
        return None
    values = dataclasses.asdict(common) | {"name": common.name or f"{kind}-{index}"}
    return SourceEntry(**values, options=made, folder=folder, filter=taken)


def _fields(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]
