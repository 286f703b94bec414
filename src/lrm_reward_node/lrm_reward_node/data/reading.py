"""One episode, read once from front to back: frames are kept, everything about it is checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lrm_core.episode_sources import OUTCOMES, Declared, Episode, EpisodeSource, Frame
from lrm_core.errors import BadInput
from lrm_reward_node.data import looks, store, trimming
from lrm_reward_node.data.episode import Facts, Problem
from lrm_reward_node.data.manifest import Frames, SourceEntry

_NS = 1e9
_ESTIMATE = 0.02
_LOSSES = 1000
"""Characters that tell of damage."""
RATE_TOLERANCE = 0.1
"""A rate this far from the declared one disagrees with it."""
JITTER = 3.0
"""Intervals between frames that differ by more than this factor (5th and 95th percentile) make a variable rate."""


@dataclass
class _Kept:
    """What is gathered of an episode on the way."""

    stamps_ns: list[int] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    thumbnails: list[np.ndarray] = field(default_factory=list)
    pixels: list[bytes] = field(default_factory=list)
    states: list[np.ndarray | None] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)
    success: list[bool | None] = field(default_factory=list)
    all_stamps_ns: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def read_episode(
    source: EpisodeSource, entry: SourceEntry, episode: Episode, settings: Frames
) -> tuple[Facts, list[bytes]]:
    """Facts and encoded pictures of an episode. What is wrong with it stands in the facts; a full disk is raised."""
    kept, declared = _Kept(), Declared()
    try:
        declared = source.declared(episode)
        pace = Pace(round(_NS / settings.rate_hz))
        for frame in thinned(_noted(source.frames(episode), kept), pace):
            _keep(kept, frame, settings)
            if len(kept.stamps_ns) >= 2 * settings.max_frames:  # an hour of video must fit into memory too
                _take(kept, sorted({0, *range(len(kept.stamps_ns) - 1, 0, -2)}))
                pace.period_ns *= 2
    except BadInput as error:
        facts = Facts(entry.name, relabelled(episode, entry, None), recorded=len(kept.all_stamps_ns))
        facts.problems.append(Problem("unreadable", str(error)))
        return facts, []
    _fewer(kept, settings.max_frames)
    facts = _facts(kept, declared, entry, episode)
    if lost := source.losses():
        facts.problems.append(Problem("damaged recording", "; ".join(lost)[:_LOSSES]))
    return facts, kept.pictures


@dataclass
class Pace:
    """How often a frame is kept; it may be slowed down on the way."""

    period_ns: int


def thinned(frames: Iterable[Frame], pace: Pace) -> Iterator[Frame]:
    """The first frame, then each that is due at the next multiple of the period, and the last one."""
    last, due_ns, taken = None, None, True
    for frame in frames:
        period_ns = pace.period_ns
        if due_ns is None:
            due_ns = frame.stamp_ns
        taken = frame.stamp_ns >= due_ns - period_ns // 20  # clocks that tick in whole frames come a little early
        if taken:
            yield frame
            due_ns += period_ns * (max(0, frame.stamp_ns - due_ns) // period_ns + 1)
        last = frame
    if last is not None and not taken:
        yield last


def relabelled(episode: Episode, entry: SourceEntry, success: bool | None) -> Episode:
    """The episode with task and outcome as the manifest wants them; ``success`` is the truth at its end, if known.

    A sentence of the manifest has not the meaning that is recorded.
    """
    outcome = entry.outcome or entry.outcomes.get(episode.outcome, episode.outcome)
    if not entry.outcome and success is not None:
        outcome = "success" if success else "failure"
    meaning = "" if entry.task else episode.meaning
    return replace(episode, task=" ".join((entry.task or episode.task).split()), outcome=outcome, meaning=meaning)


def _noted(frames: Iterable[Frame], kept: _Kept) -> Iterator[Frame]:
    """The frames with stamps in order; the others are only counted."""
    newest_ns = None
    for frame in frames:
        kept.all_stamps_ns.append(frame.stamp_ns)
        if newest_ns is None or frame.stamp_ns > newest_ns:
            newest_ns = frame.stamp_ns
            yield frame


def _keep(kept: _Kept, frame: Frame, settings: Frames) -> None:
    try:
        rgb = np.ascontiguousarray(frame.picture())
    except BadInput as error:
        kept.broken.append(str(error))
        return
    kept.stamps_ns.append(frame.stamp_ns)
    kept.pictures.append(store.encode(rgb, settings.format, settings.max_side_px))
    kept.thumbnails.append(looks.thumbnail(rgb))
    kept.pixels.append(looks.content_hash([rgb.tobytes()]).encode())
    kept.states.append(frame.state)
    kept.progress.append(frame.progress)
    kept.success.append(frame.success)


def _fewer(kept: _Kept, most: int) -> None:
    """Thin to at most ``most`` frames, those next to even times, first and last included."""
    if len(kept.stamps_ns) > most:
        stamps = np.array(kept.stamps_ns)
        wanted = np.linspace(stamps[0], stamps[-1], most)
        _take(kept, np.unique(np.abs(stamps - wanted[:, None]).argmin(axis=1)).tolist())


def _take(kept: _Kept, index: Sequence[int]) -> None:
    for name in ("stamps_ns", "pictures", "thumbnails", "pixels", "states", "progress", "success"):
        column = getattr(kept, name)
        setattr(kept, name, [column[i] for i in index])


def _facts(kept: _Kept, declared: Declared, entry: SourceEntry, episode: Episode) -> Facts:
    truth = kept.success[-1] if kept.success else None
    facts = Facts(entry.name, relabelled(episode, entry, truth), kept.stamps_ns, recorded=len(kept.all_stamps_ns))
    facts.problems += [*_label_problems(facts.episode), *_frame_problems(kept, declared)]
    facts.problems += _told_problems(kept, declared, entry)
    if len(kept.stamps_ns) < 2:
        kind = "one frame" if kept.stamps_ns else "no frames"
        facts.problems.append(Problem(kind, f"{len(kept.stamps_ns)} of {facts.recorded} frames can be used"))
        return facts
    thumbnails = np.stack(kept.thumbnails)
    facts.content, facts.looks = looks.content_hash(kept.pixels), looks.looks_of(thumbnails)
    if any(math.isfinite(value) for value in kept.progress):
        facts.progress = [float(np.clip(v, 0.0, 1.0)) if math.isfinite(v) else None for v in kept.progress]
    if not entry.outcome and any(value is not None for value in kept.success[:-1]):  # the last alone is the outcome
        facts.success = list(kept.success)
    _trim(facts, kept, thumbnails)
    return facts


def _trim(facts: Facts, kept: _Kept, thumbnails: np.ndarray) -> None:
    facts.start, facts.end = 0, len(kept.stamps_ns) - 1
    states = [state for state in kept.states if state is not None]
    whole = len(states) == len(kept.states) and len({state.shape for state in states}) == 1
    finite = whole and all(np.isfinite(state).all() for state in states)
    if states and not finite:
        text = "some states are missing, not finite or of another length; motion is read off the pictures"
        facts.problems.append(Problem("bad states", text))
    span = trimming.active_span(trimming.motion_of_states(np.stack(states))) if finite else None
    span = span or trimming.active_span(trimming.motion_of_pictures(thumbnails))  # some write zeros for states
    if span is not None:
        facts.start, facts.end = span
    elif facts.episode.outcome == "success":
        facts.problems.append(Problem("nothing moves", "a success in which nothing moves: a frozen camera or robot"))


def _label_problems(episode: Episode) -> Iterator[Problem]:
    from lrm_reward_node.prompts import check_task

    if not episode.task:
        yield Problem("no task", "no task sentence is recorded; give the source a task, or add it to its table")
    else:
        try:
            check_task(episode.task)
        except BadInput as error:
            yield Problem("bad task", str(error))
    if episode.outcome == "unknown":
        yield Problem("unknown outcome", "neither success nor failure; outcome of the source says so for all of it")
    elif episode.outcome not in OUTCOMES:
        text = f"the outcome {episode.outcome!r} is none of {list(OUTCOMES)}; outcomes of the source translates it"
        yield Problem("unknown outcome", text)


def _told_problems(kept: _Kept, declared: Declared, entry: SourceEntry) -> Iterator[Problem]:
    for name in declared.truth:
        values = getattr(kept, name)
        unknown = sum(value is None or not math.isfinite(value) for value in values)
        if unknown:
            yield Problem("bad truth", f"{name} of {unknown} of {len(values)} kept frames is missing or not finite")
    if declared.tasks and not entry.task:
        yield Problem("several tasks", f"{list(declared.tasks)} are recorded; the first is taken for all of it")


def _frame_problems(kept: _Kept, declared: Declared) -> Iterator[Problem]:
    if kept.broken:
        yield Problem("broken frames", f"{len(kept.broken)} kept frames cannot be read: {kept.broken[0]}")
    count = len(kept.all_stamps_ns)
    if declared.frames > count + max(1, round(_ESTIMATE * count)):  # containers estimate it from their duration
        yield Problem("frames missing", f"{declared.frames} frames are announced and {count} are there")
    steps = np.diff(np.array(kept.all_stamps_ns, np.int64))
    backward = int((steps <= 0).sum())
    if backward:
        yield Problem("stamps out of order", f"{backward} frames are not newer than the one before; they are left out")
    steps = steps[steps > 0]
    if len(steps) < 2:
        return
    short, middle, long = np.quantile(steps, (0.05, 0.5, 0.95))
    if long > JITTER * short:
        yield Problem(
            "variable rate", f"{short / 1e6:.0f} to {long / 1e6:.0f} ms between frames; labels follow the stamps"
        )
    elif declared.rate_hz and abs(_NS / middle / declared.rate_hz - 1.0) > RATE_TOLERANCE:
        text = f"{declared.rate_hz:g} Hz is announced, {_NS / middle:.2f} Hz is there; labels follow the stamps"
        yield Problem("rate disagrees", text)
