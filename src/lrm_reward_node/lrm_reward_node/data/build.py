"""From a manifest to a training set: every episode to a file of its own, then the index. A stopped build goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrm_core.disk import LOCK, hold
from lrm_core.episode_sources import Episode
from lrm_core.errors import BadInput
from lrm_reward_node.data import store
from lrm_reward_node.data.indexing import Progress, make_index
from lrm_reward_node.data.manifest import Manifest, SourceEntry
from lrm_reward_node.data.meanings import normal
from lrm_reward_node.data.pool import in_processes
from lrm_reward_node.data.reading import read_episode
from lrm_reward_node.data.summary import Summary


@dataclass(frozen=True)
class Job:
    """One episode to read.

    Attributes:
        source: number of its source in the manifest.
        episode: as listed.
        key: name of its file.
    """

    source: int
    episode: Episode
    key: str


def listed(manifest: Manifest) -> Iterator[Job]:
    """Every episode that the manifest asks for, source after source; nothing is decoded.

    Raises:
        BadInput: a source cannot be opened, or names an episode twice.
    """
    settings = json.dumps(asdict(manifest.frames), sort_keys=True)
    for number, entry in enumerate(manifest.sources):
        taken: set[str] = set()
        relabel = json.dumps([entry.task, entry.outcome, dict(entry.outcomes)])
        for episode in _in_source(entry):
            if episode.id in taken:
                raise BadInput(f"episode of source {entry.name}", episode.id, "a name of its own", "It stands twice.")
            taken.add(episode.id)
            yield Job(number, episode, store.key_of(entry.name, episode, settings + relabel))


def _in_source(entry: SourceEntry) -> Iterator[Episode]:
    wanted = {normal(task) for task in entry.filter.tasks}
    count = 0
    for episode in entry.open().episodes():
        if wanted and normal(entry.task or episode.task) not in wanted:
            continue
        yield episode
        count += 1
        if count == entry.filter.max_episodes:
            return


def build(manifest: Manifest, out: Path, workers: int = 1, progress: Progress = lambda what, done, of: None) -> Summary:
    """Make the training set in ``out``; what an interrupted build left there is used.

    Raises:
        BadInput: a source cannot be used, the disk is full, or another build is at work in ``out``.
    """
    jobs = list(listed(manifest))
    if not jobs:
        raise BadInput("sources", [entry.name for entry in manifest.sources], "sources with at least one episode")
    with hold(out / LOCK, "--out", out, "build"):
        return _build(manifest, jobs, out, workers, progress)


def _build(manifest: Manifest, jobs: list[Job], out: Path, workers: int, progress: Progress) -> Summary:
    missing = [job for job in jobs if not store.path_of(out, job.key).is_file()]
    done = in_processes(_Reader(manifest, out), missing, workers)
    for count, _ in enumerate(done, len(jobs) - len(missing) + 1):
        progress("reading episodes", count, len(jobs))
    return make_index(manifest, out, [(job.source, job.key) for job in jobs], progress)


class _Reader:
    """Reads episodes in a process of its own; sources are opened there, once."""

    def __init__(self, manifest: Manifest, out: Path) -> None:
        self.manifest, self.out = manifest, out
        self._open: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"manifest": self.manifest, "out": self.out, "_open": {}}

    def __call__(self, job: Job) -> None:
        entry = self.manifest.sources[job.source]
        if job.source not in self._open:
            self._open[job.source] = entry.open()
        facts, pictures = read_episode(self._open[job.source], entry, job.episode, self.manifest.frames)
        store.write(store.path_of(self.out, job.key), facts, pictures, self.manifest.frames.format)
