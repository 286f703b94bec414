"""One input after the other: opened, scored, written to a temporary folder, put in its place."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrm_bringup.bags.bag import bags_in
from lrm_bringup.pages.pictures import data_uri
from lrm_bringup.recorder.bag import PARTIAL
from lrm_bringup.replay.agreement import Agreement, compare
from lrm_bringup.replay.built import SUFFIX, BuiltEpisode
from lrm_bringup.replay.events import Recording
from lrm_bringup.replay.page import PAGE, Contents, Film, render
from lrm_bringup.replay.recorded import merged_facts
from lrm_bringup.replay.rows import Row, rows_of, write_table
from lrm_bringup.replay.schedule import ReplaySchedule
from lrm_bringup.replay.scoring import Decoded, ReplayedQuery, queries, replay
from lrm_bringup.replay.series import Series
from lrm_bringup.replay.sources import PICTURES, VIDEOS, DatasetEpisodes, PictureFolder, VideoFile, pictures_in
from lrm_core.errors import BadInput

if TYPE_CHECKING:
    from lrm_bringup.replay.ros.reward_messages import RewardMessage, RewardTopics

TABLE, SUMMARY = "rewards.parquet", "replay.json"


@dataclass(frozen=True)
class ReplayOptions:
    """How inputs are replayed.

    Attributes:
        task: replaces the recorded task; needed where none is recorded.
        task_without_policy: the task of a recording without episodes; empty: ``task``.
        topics: camera topics; empty: found.
        log_time: stamps are log times.
        query_rate_hz: queries per second; 0: as the recorded policy asked, else 1.
        picture_rate_hz: pictures per second of a folder of pictures.
        quorum: cameras that have to know.
        images: copy camera topics into the new bag.
        merged: rewards of the only series take the place of the recorded ones, under their names.
        batch: queries in one batch of a model.
        out: folder of the outputs; None writes nothing.
        overwrite: do inputs again that are done.
    """

    task: str = ""
    task_without_policy: str = ""
    topics: tuple[str, ...] = ()
    log_time: bool = False
    query_rate_hz: float = 0.0
    picture_rate_hz: float = 1.0
    quorum: int = 0
    images: bool = True
    merged: bool = False
    batch: int = 8
    out: Path | None = None
    overwrite: bool = False


@dataclass
class Replayed:
    """What came of one input.

    Attributes:
        recording: the input.
        rows: all estimates, a query that turned out final once, as final.
        messages: the same as messages; empty when nothing is written.
        decoded: frames and recorded rewards.
        agreements: series -> agreement with the recorded rewards.
        film: frames for the page.
        node: parameters of a reward node that answers as the first series, where they are known.
        problems: one line each.
        wall_s: time it took, seconds.
    """

    recording: Recording
    rows: list[Row]
    messages: list[RewardMessage]
    decoded: Decoded
    agreements: dict[str, Agreement]
    film: Film
    node: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def scored(self) -> int:
        """Queries of one model."""
        return len({(row.episode_id, row.query) for row in self.rows})


def open_recording(path: Path, options: ReplayOptions) -> Recording:
    """Open any kind of input.

    Raises:
        BadInput: it is of no known kind, or cannot be read.
    """
    if not path.exists():
        raise BadInput("input", str(path), "an existing file or folder")
    if path.is_file() and path.suffix.lower() in VIDEOS:
        _refuse_bag_options(path, options, cameras=0)
        return VideoFile(path)
    if (path / "meta" / "info.json").is_file():
        _refuse_bag_options(path, options, cameras=1)
        return DatasetEpisodes(path, "".join(options.topics), options.query_rate_hz, options.task)
    if path.is_dir() and not bags_in(path) and pictures_in(path):
        _refuse_bag_options(path, options, cameras=0)
        return PictureFolder(path, options.picture_rate_hz)
    if path.is_file() and path.suffix == SUFFIX:
        _refuse_bag_options(path, options, cameras=0)
        return BuiltEpisode(path, options.query_rate_hz)
    if path.is_file() and path.suffix.lower() in PICTURES:
        raise BadInput("input", str(path), "a folder of pictures, not a single one", "lrm score takes single pictures.")
    from lrm_bringup.replay.ros.bag_events import BagEvents

    return BagEvents(path, options.topics, options.log_time)


def _refuse_bag_options(path: Path, options: ReplayOptions, cameras: int) -> None:
    """Only bags have several cameras to choose from and two times per frame; nothing that was asked for is ignored."""
    fix = f"{path} is no bag: leave it out, or replay it by itself."
    if len(options.topics) > cameras:
        allowed = "the name of one camera of a LeRobotDataset" if cameras else "nothing for a video or pictures"
        raise BadInput("--topic", list(options.topics), allowed, fix)
    if options.log_time:
        raise BadInput("--log-time", True, "bags, where a frame has a log time", fix)


def expand(inputs: Sequence[Path]) -> list[Path]:
    """The inputs, a folder of bags (as a recorder leaves it, or of single files) replaced by its bags.

    Raises:
        BadInput: it is not clear which files of a folder are one bag.
    """
    return [one for path in inputs for one in (_inside(path) if path.is_dir() else [path])]


def _inside(path: Path) -> list[Path]:
    own = bags_in(path)
    if own == [path]:
        return own
    folders = sorted(p for p in path.iterdir() if p.is_dir() and p.name != PARTIAL)
    return [*(bag for folder in folders for bag in bags_in(folder)), *own] or [path]


def replay_one(
    recording: Recording,
    series: list[Series],
    options: ReplayOptions,
    progress: Callable[[int], None] = lambda frames: None,
) -> Replayed:
    """Score one recording.

    Raises:
        BadInput: no task is known, or rewards of several series would have one name.
    """
    if options.merged and len(series) > 1:
        labels = [named.label for named in series]
        raise BadInput("--merged", labels, "one model, mode and task", "Several rewards cannot have one name.")
    started_s = time.monotonic()
    schedule = ReplaySchedule(recording.cameras, _task(recording, options), options.query_rate_hz)
    found = _Found(recording, series, options)
    asked = queries(recording, schedule, found.decoded)
    for one in replay(asked, series, options.batch, options.quorum, lambda: progress(found.decoded.frames)):
        found.add(one)
    if not found.rows:
        problems = "; ".join([*recording.problems, *found.decoded.problems])[:400]
        raise BadInput("input", recording.name, "a recording with frames that are scored", problems)
    return found.replayed(started_s)


def _task(recording: Recording, options: ReplayOptions) -> str:
    """The sentence that takes the place of the recorded ones; empty where episodes say theirs."""
    has_episodes = getattr(recording, "has_episodes", isinstance(recording, DatasetEpisodes))
    task = options.task if has_episodes else options.task or options.task_without_policy
    if not task and not has_episodes:
        raise BadInput("--task", "", "a sentence: this recording does not say what the task was")
    return task


class _Found:
    """What the queries of one recording give; one that turned out final comes again and takes its own place."""

    def __init__(self, recording: Recording, series: list[Series], options: ReplayOptions) -> None:
        self.recording, self.series, self.options = recording, series, options
        self.decoded, self.film = Decoded(), Film()
        self.rows: dict[Any, Row] = {}
        self.messages: dict[Any, RewardMessage] = {}

    def add(self, one: ReplayedQuery) -> None:
        """Rows, frame and, where something is written, messages of one query."""
        key = one.asked.query.key
        self.rows |= {(row.model, *key, row.camera, row.head): row for row in rows_of(one, self.series)}
        _keep_frame(self.film, one)
        if self.options.out is not None:
            from lrm_bringup.replay.ros.reward_messages import reward_messages

            topics = _reward_topics(self.recording) if self.options.merged else None
            self.messages |= {(message.topic, *key): message for message in reward_messages(one, self.series, topics)}

    def replayed(self, started_s: float) -> Replayed:
        """All of it, with its agreement with what was recorded."""
        rows = list(self.rows.values())
        agreements = {
            named.label: compare([row for row in rows if row.model == named.label], self.decoded.recorded, named.heads)
            for named in self.series
        }
        problems = [*self.recording.problems, *self.decoded.problems]
        messages = sorted(self.messages.values(), key=lambda message: message.log_ns)
        wall_s = time.monotonic() - started_s
        return Replayed(
            self.recording,
            rows,
            messages,
            self.decoded,
            agreements,
            self.film,
            getattr(self.series[0], "node", {}),
            problems,
            wall_s,
        )


def settings(path: Path, series: Sequence[Series], options: ReplayOptions) -> dict[str, Any]:
    """What a result depends on; an input is done when its result was made with the same."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    state = [(str(p.relative_to(path)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return {
        "input": str(path), "input_state": hashlib.sha256(json.dumps(state).encode()).hexdigest(),
        "series": {named.label: named.about() for named in series},
        "task": options.task or options.task_without_policy, "topics": list(options.topics),
        "log_time": options.log_time, "query_rate_hz": options.query_rate_hz,
        "picture_rate_hz": options.picture_rate_hz, "quorum": options.quorum, "images": options.images,
        "merged": options.merged,
    }  # fmt: skip


def is_done(folder: Path, wanted: dict[str, Any]) -> bool:
    """True when ``folder`` holds the result of the same settings.

    Raises:
        BadInput: it holds another result.
    """
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, LookupError, TypeError):
        found = None
    if found != wanted:
        fix = "--overwrite replaces it, --out names another folder."
        raise BadInput("output folder", str(folder), "a result of the same input, models and options", fix)
    return True


def write(replayed: Replayed, folder: Path, made_with: dict[str, Any], options: ReplayOptions) -> None:
    """Write bag, table, page and summary of one input; ``folder`` appears when all of it is whole."""
    from lrm_bringup.bags.copying import write_bag
    from lrm_bringup.replay.ros.reward_messages import REWARD_TYPE

    partial = folder.parent / PARTIAL / folder.name
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    source = getattr(replayed.recording, "bag", None)
    replaced = _reward_topics(replayed.recording).recorded if options.merged else ()
    facts = _merged(replayed, source.facts, options) if source and options.merged else source.facts if source else None
    replayed.problems += write_bag(
        partial, folder.name, replayed.messages, REWARD_TYPE, source, options.images, replaced, facts
    )
    write_table(partial / TABLE, replayed.rows)
    recorded = list(replayed.decoded.recorded.values())
    contents = Contents(
        replayed.recording.name, _facts(replayed), replayed.rows, recorded, replayed.agreements, replayed.film,
        replayed.problems, replayed.decoded.cameras,
    )  # fmt: skip
    (partial / PAGE).write_text(render(contents), encoding="utf-8")
    (partial / SUMMARY).write_text(json.dumps(_summary(replayed, made_with), indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    if not any(partial.parent.iterdir()):
        partial.parent.rmdir()


def _merged(replayed: Replayed, facts: Mapping[str, str], options: ReplayOptions) -> dict[str, str]:
    """What a bag with the replayed rewards in place of the recorded ones says about itself."""
    fingerprints: dict[str, set[str]] = {}
    for row in replayed.rows:
        fingerprints.setdefault(row.head, set()).add(row.fingerprint)
    node = dict(replayed.node)
    if node:
        node |= {
            "cameras": list(options.topics) or list(replayed.recording.cameras), "camera_quorum": options.quorum,
            "query_rate_hz": options.query_rate_hz, "task": options.task or options.task_without_policy,
        }  # fmt: skip
    return merged_facts(facts, node, fingerprints, replayed.recording.name)


def _reward_topics(recording: Recording) -> RewardTopics:
    from lrm_bringup.replay.ros.reward_messages import RewardTopics

    return getattr(recording, "reward_topics", RewardTopics())


def _summary(replayed: Replayed, made_with: dict[str, Any]) -> dict[str, Any]:
    agreements = {
        model: {"recorded": a.recorded, "share": a.share if a.recorded else None, "largest": a.largest, "text": str(a)}
        for model, a in replayed.agreements.items()
    }
    return {
        "settings": made_with, "frames": replayed.decoded.frames, "queries": replayed.scored,
        "rows": len(replayed.rows), "wall_s": round(replayed.wall_s, 3), "agreement": agreements,
        "cameras": {camera: timing.as_json() for camera, timing in replayed.decoded.cameras.items()},
        "problems": replayed.problems,
    }  # fmt: skip


def _facts(replayed: Replayed) -> list[tuple[str, str]]:
    episodes = len({row.episode_id for row in replayed.rows})
    return [
        ("episodes", str(episodes)), ("frames", str(replayed.decoded.frames)), ("queries", str(replayed.scored)),
        ("cameras", ", ".join(replayed.recording.cameras)), ("took", f"{replayed.wall_s:.1f} s"),
    ]  # fmt: skip


def _keep_frame(film: Film, one: ReplayedQuery) -> None:
    query = one.asked.query
    if query.frame is not None and film.wants(query.plan.episode_id):
        film.add(query.plan.episode_id, query.frame.stamp_ns, data_uri(query.frame.rgb))
