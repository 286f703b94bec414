"""From episode files to the index: which are used and where they belong, then their samples."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrm_core.errors import BadInput
from lrm_reward_node.data import making, splits, store
from lrm_reward_node.data.duplicates import Duplicates
from lrm_reward_node.data.episode import Facts, Problem
from lrm_reward_node.data.index import SampleIndex
from lrm_reward_node.data.manifest import Manifest, asked_splits
from lrm_reward_node.data.meanings import Meanings
from lrm_reward_node.data.summary import MOST_PROBLEMS, VERSION, Summary, read_summary, write_summary
from lrm_reward_node.data.tasks import TaskTable

PAIRS_SHOWN = 10
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


def make_index(
    manifest: Manifest, out: Path, keys: list[tuple[int, str]], progress: Progress = lambda what, done, of: None
) -> Summary:
    """The index over episode files that are there, (number of source, key) each. Memory grows with the episodes alone,
    and by some hundred bytes each.
    """
    made_of = json.dumps([VERSION, manifest.fingerprint(), keys])
    name = f"index-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    if (out / name).is_dir():
        try:
            known = read_summary(out)
        except BadInput:
            known = None
        if known is not None and known.index == name:
            return known
    making_of = _Making(manifest, out, keys, progress)
    partial = out / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(out / name, ignore_errors=True)
    try:
        summary = making_of.write(partial, name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(out / name)
    write_summary(out, summary)
    _remove_old(out, name, {key for _, key in keys})
    return summary


def _remove_old(out: Path, index: str, keys: set[str]) -> None:
    """What an earlier manifest left behind."""
    for folder in out.glob("index-*"):
        if folder.name != index:
            shutil.rmtree(folder)
    for path in [*(out / "episodes").glob("*/*"), *out.glob("*.partial")]:
        if path.stem not in keys:
            path.unlink()


class _Making:
    """Passes over the episode files: what sentences mean, what is used and where it belongs, then the samples."""

    def __init__(self, manifest: Manifest, out: Path, keys: list[tuple[int, str]], progress: Progress) -> None:
        self.manifest, self.out, self.keys, self.progress = manifest, out, keys, progress
        self.meanings = Meanings(manifest.sampling.same_as)
        self.tasks = TaskTable(self.meanings)
        self._forced: dict[str, str] = {}
        self._found: dict[str, Problem] = {}
        self._read_meanings()
        self._unmet = set(splits.assigned(manifest.splits, self.meanings))
        self._survey()

    def write(self, folder: Path, name: str) -> Summary:
        """Write the index to ``folder``; returns the summary that goes with it."""
        weights = {entry.name: entry.weight for entry in self.manifest.sources}
        asked = asked_splits(self.manifest)
        summary = Summary(name, self.manifest.fingerprint(), self.manifest.splits.by, asked, weights)
        index, episodes = SampleIndex(folder), Counter[tuple[str, str, str]]()
        for done, (number, key) in enumerate(self.keys, 1):
            facts, split = self._facts(key), ""
            for problem in facts.problems:
                _note(summary, facts, problem)
            if self._wanted(facts, number) and facts.usable:
                split = self._split(facts, number)
                self._samples(index, key, facts, split)
            episodes[facts.source, split, facts.episode.outcome] += 1
            self.progress("making samples", done, len(self.keys))
        index.close()
        names = ("source", "split", "outcome", "count")
        summary.episodes = [dict(zip(names, (*row, n), strict=True)) for row, n in sorted(episodes.items())]
        summary.samples = list(_sample_rows(index))
        summary.tasks = self.tasks.counts()
        summary.asked_as_no = self.tasks.nearest(PAIRS_SHOWN, self.manifest.sampling.negatives)
        return Summary(**asdict(summary))

    def _read_meanings(self) -> None:
        """First of all: a sentence may get its meaning from the last episode."""
        for done, (_, key) in enumerate(self.keys, 1):
            self.meanings.add(self._facts(key).episode)
            self.progress("reading task sentences", done, len(self.keys))
        if self.meanings.unmet:
            allowed = "task sentences that an episode has, on both sides"
            raise BadInput("sampling.same_as", sorted(self.meanings.unmet)[0], allowed)

    def _survey(self) -> None:
        duplicates = Duplicates(lambda key: store.read_facts(store.path_of(self.out, key)))
        for done, (number, key) in enumerate(self.keys, 1):
            facts = self._facts(key)
            self._unmet.discard(self._key(facts))
            self.progress("looking for duplicates", done, len(self.keys))
            if not (self._wanted(facts, number) and facts.usable):
                continue
            problem = self._unplaced(facts, number) or _duplicate(duplicates.earlier(key, facts))
            if problem is not None:
                self._found[key] = problem
        self._check_assigned()
        for number, key in self.keys:
            facts = self._facts(key)
            if self._wanted(facts, number) and facts.usable:
                self.tasks.add(self._split(facts, number), facts.episode.task)

    def _check_assigned(self) -> None:
        """A key that is written wrong would leave what it means in the split that its hash says."""
        if self._unmet:
            by = self.manifest.splits.by
            example = self._key(self._facts(self.keys[0][1]))
            allowed = f"keys that an episode has; splits go by {by}, the first one is {example!r}"
            raise BadInput("splits.assign", sorted(self._unmet)[0], allowed)

    def _facts(self, key: str) -> Facts:
        facts = store.read_facts(store.path_of(self.out, key))
        if key in self._found:
            facts.problems.append(self._found[key])
        return facts

    def _wanted(self, facts: Facts, number: int) -> bool:
        taken = self.manifest.sources[number].filter
        if taken.outcomes and facts.episode.outcome not in taken.outcomes:
            return False
        return len(facts.stamps_ns) >= taken.min_frames or not facts.usable

    def _unplaced(self, facts: Facts, number: int) -> Problem | None:
        """Why an episode belongs to no split; else, what its source says of its split is noted."""
        by, forced = self.manifest.splits.by, self.manifest.sources[number].split
        key = self._key(facts)
        if not key:
            return Problem("no scene", "splits by scene need one: a column scene of the table, or another rule")
        if forced and self._forced.setdefault(key, forced) != forced:
            allowed = f"a split of its own; {self._forced[key]} has it too"
            raise BadInput(f"split of source {facts.source}", forced, allowed, f"The {by} {key!r} is in both.")
        return None

    def _split(self, facts: Facts, number: int) -> str:
        key = self._key(facts)
        return self._forced.get(key) or splits.split_of(key, self.manifest.splits, self.meanings)

    def _key(self, facts: Facts) -> str:
        return splits.key_of(facts, self.manifest.splits.by, self.meanings)

    def _samples(self, index: SampleIndex, key: str, facts: Facts, split: str) -> None:
        row = index.episodes.add(key, facts, split, self.meanings.of(facts.episode.task))
        seed = hashlib.sha256(f"{facts.source}/{facts.episode.id}".encode()).digest()
        rng = np.random.default_rng([self.manifest.sampling.seed, int.from_bytes(seed[:8], "big")])
        success = facts.episode.outcome == "success"
        others = self.tasks.others(split, facts.episode.task) if success else making.OtherTasks()
        for question in making.questions(facts, self.manifest.sampling, others, rng):
            index.add(question, row, facts.source, split)


def _duplicate(earlier: Facts | None) -> Problem | None:
    if earlier is None:
        return None
    return Problem("duplicate", f"shows the same as {earlier.source}/{earlier.episode.id}")


def _note(summary: Summary, facts: Facts, problem: Problem) -> None:
    summary.problem_counts[problem.kind] = summary.problem_counts.get(problem.kind, 0) + 1
    if len(summary.problems) < MOST_PROBLEMS:
        row = {"source": facts.source, "episode": facts.episode.id, "kind": problem.kind, "text": problem.text}
        summary.problems.append(row)


def _sample_rows(index: SampleIndex) -> Iterable[dict[str, Any]]:
    for (head, split), writer in sorted(index.writers.items(), key=lambda item: (item[0][0].value, item[0][1])):
        for (source, answer, made), count in sorted(writer.counts.items()):
            yield {"head": head.value, "split": split, "source": source, "answer": answer, "made": made, "count": count}
