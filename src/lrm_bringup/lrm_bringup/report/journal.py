"""The journal of a run: one JSON object per line, appended as things happen, readable after any kind of end.

Every line has ``kind`` and ``t_s`` (seconds since the start of the run, monotonic). Numbers that are unknown are null.
The kinds are the dataclasses below.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput

JOURNAL = "journal.jsonl"
BEFORE, REFINE, AFTER = "before", "refine", "after"
PHASES = (BEFORE, REFINE, AFTER)
T = TypeVar("T")


@dataclass(frozen=True)
class RunStarted:
    """What was asked for. ``versions`` are package versions, ``command`` the words after ``lrm``."""

    run_id: str
    seed: int
    task: str
    reward_source: str
    speed: str
    seconds: float
    episodes_planned: int
    eval_episodes_planned: int
    started_at: str
    command: list[str]
    versions: dict[str, str]
    fingerprints: dict[str, str]
    success_threshold: float = 0.5
    """Completion score from which on the reward model calls an episode successful."""


@dataclass(frozen=True)
class EpisodeEnded:
    """One episode: what the policy and the reward model said, and what was true.

    Attributes:
        phase: before, refine or after.
        index: number within the phase, from 0.
        episode_id: id in every message of the episode.
        seed: scene seed.
        task: task sentence.
        steps: control steps executed.
        reason: a name of ``lrm_core.episodes.TerminationReason``.
        start_ns: stamp of the reset frame.
        end_ns: stamp of the last frame.
        weights_version: residual weights in use; 0: base policy alone.
        predicted: completion score of the last frame, [0, 1]; NaN: unknown.
        success: privileged truth at ``end_ns``; None: not seen.
        outcome: what the physics shows, for example ``in_container``.
        truth_ns: stamps of the privileged progress.
        truth_progress: privileged progress, [0, 1].
        truth_success: privileged success.
    """

    phase: str
    index: int
    episode_id: str
    seed: int
    task: str
    steps: int
    reason: str
    start_ns: int
    end_ns: int
    weights_version: int
    predicted: float = math.nan
    success: bool | None = None
    outcome: str = ""
    truth_ns: list[int] = field(default_factory=list)
    truth_progress: list[float] = field(default_factory=list)
    truth_success: list[bool] = field(default_factory=list)
    t_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Ran to an end of its own: an episode cut short by a person or a crash says nothing about success."""
        return self.reason in (TerminationReason.SUCCESS_CONFIRMED.value, TerminationReason.MAX_STEPS.value)


@dataclass(frozen=True)
class RewardSeen:
    """One ``lrm_msgs/Reward``; fields as there, ``status`` by name."""

    episode_id: str
    head: str
    value: float
    status: str
    stamp_ns: int
    reference_stamp_ns: int
    confidence: float
    episode_end: bool
    transport_latency_s: float
    model_latency_s: float
    model_fingerprint: str
    raw_text: str = ""


@dataclass(frozen=True)
class LearnerSeen:
    """One ``lrm_msgs/LearnerStatus``."""

    weights_version: int
    transitions: int
    dropped_unknown: int
    pending: int
    demo_transitions: int
    updates: int
    critic_loss: float
    mean_q: float
    t_s: float = 0.0


@dataclass(frozen=True)
class SafetySeen:
    """One change of ``lrm_msgs/SafetyStatus``; ``state`` by name."""

    state: str
    reason: str
    passed: int
    limited: int
    rejected: int
    t_s: float = 0.0


@dataclass(frozen=True)
class ProcessSeen:
    """One event of the supervisor."""

    name: str
    event: str
    message: str = ""
    pid: int = 0
    t_s: float = 0.0


@dataclass(frozen=True)
class RunEnded:
    """``finished`` is true when every planned phase ran to its end; else ``reason`` says why not."""

    finished: bool
    reason: str
    wall_s: float


_KINDS: dict[str, type[Any]] = {
    "run": RunStarted,
    "episode": EpisodeEnded,
    "reward": RewardSeen,
    "learner": LearnerSeen,
    "safety": SafetySeen,
    "process": ProcessSeen,
    "end": RunEnded,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


class JournalWriter:
    """Appends entries; safe to call from several threads; each line is flushed, so a crash loses at most one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._start_s = time.monotonic()

    def write(self, entry: Any) -> None:
        """Append one entry (any dataclass of this module). Ignored after :meth:`close`."""
        line = {"kind": _NAMES[type(entry)], **dataclasses.asdict(entry)}
        line["t_s"] = round(time.monotonic() - self._start_s, 3)
        text = json.dumps(null_for_nan(line), allow_nan=False)
        with self._lock:
            if not self._file.closed:
                self._file.write(text + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


@dataclass
class Run:
    """A journal in memory."""

    folder: Path
    started: RunStarted
    episodes: list[EpisodeEnded] = field(default_factory=list)
    rewards: dict[str, list[RewardSeen]] = field(default_factory=dict)
    """By episode id, in order of stamp."""
    learner: list[LearnerSeen] = field(default_factory=list)
    safety: list[SafetySeen] = field(default_factory=list)
    processes: list[ProcessSeen] = field(default_factory=list)
    ended: RunEnded = RunEnded(False, "the program was killed", math.nan)

    def phase(self, name: str) -> list[EpisodeEnded]:
        """Episodes of one phase, in order."""
        return [episode for episode in self.episodes if episode.phase == name]

    def values(self, episode_id: str, head: str) -> list[RewardSeen]:
        """Rewards of one head in one episode, in order of stamp, UNKNOWN ones included."""
        return [reward for reward in self.rewards.get(episode_id, []) if reward.head == head]


def read_run(folder: Path) -> Run:
    """Read the journal of a run folder.

    Raises:
        BadInput: there is no journal, it does not begin with the run, or a line in its middle is broken.
    """
    path = folder / JOURNAL
    if not path.is_file():
        raise BadInput("run folder", str(folder), f"a folder with {JOURNAL}", "lrm demo writes one under out/demo.")
    entries = list(_entries(path))
    if not entries or not isinstance(entries[0], RunStarted):
        raise BadInput("journal", str(path), "a first line of kind 'run'")
    run = Run(folder, entries[0])
    lists: dict[type[Any], list[Any]] = {
        EpisodeEnded: run.episodes, LearnerSeen: run.learner, SafetySeen: run.safety, ProcessSeen: run.processes,
    }  # fmt: skip
    rewards: defaultdict[str, dict[tuple[str, int], RewardSeen]] = defaultdict(dict)
    for entry in entries[1:]:
        if isinstance(entry, RewardSeen):
            # The last query of an episode may be published again, marked as its end: the newer entry replaces.
            rewards[entry.episode_id][entry.head, entry.stamp_ns] = entry
        elif isinstance(entry, RunEnded):
            run.ended = entry
        elif type(entry) in lists:
            lists[type(entry)].append(entry)
    for episode_id, found in rewards.items():
        run.rewards[episode_id] = sorted(found.values(), key=lambda reward: reward.stamp_ns)
    return run


def _entries(path: Path) -> Iterator[Any]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            yield _typed(_KINDS[fields.pop("kind")], fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):  # cut off by a crash in the middle of a write
                return
            raise BadInput(f"journal line {number}", line[:80], "a complete entry", f"({error})") from error


def _typed(cls: type[T], values: dict[str, Any]) -> T:
    """An entry from its JSON object: null means NaN where the field is a float."""
    known = {f.name: f.type for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    kept = {k: math.nan if v is None and known[k] == "float" else v for k, v in values.items() if k in known}
    return cls(**kept)


def null_for_nan(value: Any) -> Any:
    """``value`` with every NaN and infinity, at any depth, replaced by None: JSON has no numbers for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: null_for_nan(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(element) for element in value]
    return value
