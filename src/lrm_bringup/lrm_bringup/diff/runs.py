"""A run as something to compare, from the folder of ``lrm demo`` or from a folder of recorded bags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrm_bringup.bags.bag import RecordedBag
from lrm_bringup.recorder import index
from lrm_bringup.recorder.bag import PARTIAL
from lrm_bringup.recorder.facts import FORMAT_KEY
from lrm_bringup.report.journal import JOURNAL, EpisodeEnded, RewardSeen, Run, read_run
from lrm_core.episodes import TerminationReason
from lrm_core.errors import BadInput
from lrm_core.rewards import RewardHead, RewardStatus


@dataclass(frozen=True)
class Episode:
    """One episode that ran to an end of its own.

    Attributes:
        phase: before, refine, after; from bags: evaluate, refine.
        seed: scene seed.
        task: task sentence.
        success: the simulator's truth; None: unknown.
        confirmed: the reward model confirmed success.
        outcome: name of the termination reason.
        rewards: one per frame and head, UNKNOWN ones included.
    """

    phase: str
    seed: int
    task: str
    success: bool | None
    confirmed: bool
    outcome: str
    rewards: tuple[RewardSeen, ...] = ()


@dataclass(frozen=True)
class ComparedRun:
    """One side of the comparison.

    Attributes:
        name: of its folder.
        episodes: those that ran to an end of their own.
        cut: outcome -> number of episodes that did not.
        facts: name -> text, of what was run.
        parameters: ``node.parameter`` -> value in the newest bag; empty where no bag holds them.
        problems: what could not be read, one line each.
    """

    name: str
    episodes: tuple[Episode, ...]
    cut: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def phases(self) -> list[str]:
        """Phases with episodes, in the order in which they ran."""
        return list(dict.fromkeys(episode.phase for episode in self.episodes))


def read_compared(folder: Path) -> ComparedRun:
    """Read one run.

    Raises:
        BadInput: the folder holds neither the journal of a run nor bags that say what they are, or no whole episode.
    """
    if not folder.is_dir():
        raise BadInput("run", str(folder), "a run folder of lrm demo, or a folder of recorded bags")
    run = _of_demo(folder) if (folder / JOURNAL).is_file() else _of_bags(folder)
    if not run.episodes:
        raise BadInput("run", str(folder), "a run with at least one episode that ran to its end")
    return run


def _of_demo(folder: Path) -> ComparedRun:
    run = read_run(folder)
    episodes = tuple(_episode(run, entry) for entry in run.episodes if entry.complete)
    started = run.started
    facts = {
        "task": started.task, "seed": str(started.seed), "reward source": started.reward_source,
        "speed": started.speed, "finished": f"{'yes' if run.ended.finished else 'no'}, {run.ended.reason}",
        **_versions(started.versions), **started.fingerprints, **_fingerprints(episodes),
    }  # fmt: skip
    problems: list[str] = []
    folders = _bag_folders(folder / "bags") if (folder / "bags").is_dir() else []
    newest = next(_readable(reversed(folders), problems), None)
    parameters = _parameters(newest.facts if newest else {})
    return ComparedRun(folder.resolve().name, episodes, _cut(run), facts, parameters, tuple(problems))


def _episode(run: Run, entry: EpisodeEnded) -> Episode:
    confirmed = entry.reason == TerminationReason.SUCCESS_CONFIRMED.value
    rewards = tuple(run.rewards.get(entry.episode_id, ()))
    return Episode(entry.phase, entry.seed, entry.task, entry.success, confirmed, entry.reason, rewards)


def _cut(run: Run) -> dict[str, int]:
    return _counted(entry.reason for entry in run.episodes if not entry.complete)


def _counted(names: Iterator[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name or "unknown"] = counts.get(name or "unknown", 0) + 1
    return counts


def _of_bags(folder: Path) -> ComparedRun:
    """The bags of one folder; those of an episode that a restart of the recorder split are one episode."""
    from rich.console import Console
    from rich.progress import track

    problems: list[str] = []
    bags = [bag for bag in _readable(_bag_folders(folder), problems) if FORMAT_KEY in bag.facts]
    if not bags:
        fix = "; ".join(problems)[:400] or "Bags of ros2 bag record do not say how their episodes ended."
        raise BadInput("run", str(folder), f"{JOURNAL}, or bags that lrm's recorder wrote", fix)
    by_episode: dict[str, list[RecordedBag]] = {}
    for bag in bags:
        by_episode.setdefault(bag.facts.get("episode_id", bag.path.name), []).append(bag)
    console = Console(stderr=True)
    groups = track(by_episode.values(), folder.name, console=console, transient=True, disable=not console.is_terminal)
    found = [one for group in groups if (one := _episode_or_none(group, problems)) is not None]
    last = bags[-1].facts
    problems += [_losses(bag) for bag in bags if bag.faults.losses] + _changes(bags)
    revision = {"revision": last["revision"]} if last.get("revision") else {}
    episodes = tuple(episode for episode in found if isinstance(episode, Episode))
    versions = _versions(json.loads(last.get("versions", "{}")) | revision)
    facts = {"task": last.get("task", ""), **versions, **_fingerprints(episodes)}
    cut = _counted(outcome for outcome in found if isinstance(outcome, str))
    return ComparedRun(folder.resolve().name, episodes, cut, facts, _parameters(last), tuple(problems))


def _readable(folders: Iterable[Path], problems: list[str]) -> Iterator[RecordedBag]:
    """The bags that can be opened; one that cannot costs itself and is a problem."""
    for path in folders:
        try:
            yield RecordedBag(path)
        except BadInput as error:
            problems.append(f"{path.name} is left out: {error}")


def _episode_or_none(bags: list[RecordedBag], problems: list[str]) -> Episode | str | None:
    try:
        return _episode_of(bags)
    except BadInput as error:
        problems.append(f"{bags[-1].path.name} is left out: {error}")
        return None


def _losses(bag: RecordedBag) -> str:
    first, *others = bag.faults.losses
    return f"{bag.path.name}, {first}" + (f", and {len(others)} more faults" if others else "")


def _changes(bags: Sequence[RecordedBag]) -> list[str]:
    """The names of the parameters that did not stay as they are in the newest bag."""
    newest, *others = (_parameters(bag.facts) for bag in reversed(bags))
    changed = sorted({name for one in others for name, value in one.items() if newest.get(name, value) != value})
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    return [f"changed within the run, compared as in its newest bag: {shown}"] if changed else []


def _episode_of(bags: list[RecordedBag]) -> Episode | str:
    """The episode of these bags; the name of its outcome where it did not run to an end of its own."""
    facts = bags[-1].facts
    try:
        confirmed, true = json.loads(facts["confirmed_success"]), json.loads(facts["true_success"])
        if confirmed is None:
            return facts["outcome"]
        rewards = tuple(reward for bag in bags for reward in _rewards(bag, facts["episode_id"]))
        seed = int(facts["seed"])
        return Episode(facts["mode"], seed, facts["task"], true, bool(confirmed), facts["outcome"], rewards)
    except (LookupError, ValueError) as error:
        raise BadInput("facts of a bag", str(bags[-1].path), "what lrm's recorder writes", repr(error)) from error


def _rewards(bag: RecordedBag, episode_id: str) -> list[RewardSeen]:
    """The verdicts of the live node; of a query that was published again as the last one, the newer."""
    ends = tuple(f"/reward/{head.value}" for head in RewardHead)
    topics = [topic for topic in bag.topics if topic.name.endswith(ends) and "/replay/" not in topic.name]
    statuses = {int(status): status.name for status in RewardStatus}
    found: dict[tuple[str, int], RewardSeen] = {}
    for _, msg in bag.decoded(topics):
        if msg.episode_id == episode_id:
            stamp, reference = (t.sec * 10**9 + t.nanosec for t in (msg.header.stamp, msg.reference_stamp))
            found[msg.head, stamp] = RewardSeen(
                episode_id, msg.head, float(msg.value), statuses.get(int(msg.status), str(msg.status)), stamp,
                reference, float(msg.confidence), bool(msg.episode_end), float(msg.transport_latency_s),
                float(msg.model_latency_s), str(msg.model_fingerprint), str(msg.raw_text),
            )  # fmt: skip
    return list(found.values())


def _bag_folders(folder: Path) -> list[Path]:
    """Bags from the oldest to the newest, as the index has them; the others behind, by name."""
    known = list(index.read(folder))
    present = [p for p in folder.iterdir() if p.is_dir() and p.name != PARTIAL and any(p.glob("*.mcap"))]
    return sorted(present, key=lambda p: (known.index(p.name) if p.name in known else len(known), p.name))


def _versions(found: Mapping[str, str]) -> dict[str, str]:
    return {f"version of {name}" if name != "revision" else name: text for name, text in found.items()}


def _fingerprints(episodes: tuple[Episode, ...]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for reward in (reward for episode in episodes for reward in episode.rewards if reward.model_fingerprint):
        found.setdefault(reward.head, set()).add(reward.model_fingerprint[:12])
    return {f"fingerprint {head}": ", ".join(sorted(prints)) for head, prints in sorted(found.items())}


def _parameters(facts: Mapping[str, str]) -> dict[str, Any]:
    """Every parameter of every node; paths inside the run's own folder are told from there on."""
    nodes: dict[str, dict[str, Any]] = json.loads(facts.get("parameters", "{}"))
    out_dir = next((str(v["out_dir"]) for name, v in sorted(nodes.items()) if name.endswith("/recorder")), "")
    home = str(Path(out_dir).parent) if out_dir else ""

    def told(value: Any) -> Any:
        inside = home not in ("", ".", "/") and isinstance(value, str) and value.startswith(home)
        return "RUN" + value.removeprefix(home) if inside else value

    return {f"{node.lstrip('/')}.{name}": told(v) for node, values in nodes.items() for name, v in values.items()}
