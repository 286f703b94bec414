"""``replay.html``: what each model said about each episode, over a film of the frames that were scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from lrm_bringup.pages import markup
from lrm_bringup.pages.markup import card, chips, film, page, table
from lrm_bringup.pages.numbers import number
from lrm_bringup.pages.rewards import FUSED, HEAD_KEYS, Scored, heads_chart
from lrm_bringup.replay.agreement import Agreement
from lrm_bringup.replay.events import RewardRecorded
from lrm_bringup.replay.rows import Row
from lrm_bringup.replay.timing import CameraTiming
from lrm_core.rewards import RewardHead

PAGE = "replay.html"
MAX_EPISODES = 40
_MAX_FRAMES = 8
_HEADS = (RewardHead.PROGRESS, RewardHead.COMPLETION, RewardHead.CONTRASTIVE, RewardHead.FUSED)
LIVE = "live, as recorded"


class Film:
    """A few frames of every episode, evenly spaced, however many come: twice as many as are shown, at most."""

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[int, str]]] = {}
        self._stride: dict[str, int] = {}
        self._count: dict[str, int] = {}

    def wants(self, episode_id: str) -> bool:
        """True when the next frame of the episode belongs into the film; asked once per frame."""
        if episode_id not in self._kept and len(self._kept) >= MAX_EPISODES:
            return False
        self._kept.setdefault(episode_id, [])
        count = self._count[episode_id] = self._count.get(episode_id, -1) + 1
        return count % self._stride.setdefault(episode_id, 1) == 0

    def add(self, episode_id: str, stamp_ns: int, uri: str) -> None:
        """Take a frame as a data URI; one that comes again, as the end of its episode, once."""
        kept = self._kept[episode_id]
        if kept and kept[-1][0] == stamp_ns:
            return
        kept.append((stamp_ns, uri))
        if len(kept) > 2 * _MAX_FRAMES:
            del kept[1::2]
            self._stride[episode_id] *= 2

    def of(self, episode_id: str) -> list[tuple[int, str]]:
        """At most ``_MAX_FRAMES`` frames to show, evenly spaced, the first and the newest that were kept among them."""
        kept = self._kept.get(episode_id, [])
        shown = min(len(kept), _MAX_FRAMES)
        return [kept[round(i * (len(kept) - 1) / max(1, shown - 1))] for i in range(shown)]


@dataclass
class Contents:
    """What a page shows.

    Attributes:
        title: name of the recording.
        facts: (name, value) pairs.
        rows: all estimates; verdicts alone are drawn.
        recorded: rewards that the recording held.
        agreements: model -> agreement with those.
        film: frames.
        problems: one line each.
        cameras: how the frames of each came.
    """

    title: str
    facts: list[tuple[str, str]]
    rows: Sequence[Row]
    recorded: Sequence[RewardRecorded] = ()
    agreements: dict[str, Agreement] = field(default_factory=dict)
    film: Film = field(default_factory=Film)
    problems: Sequence[str] = ()
    cameras: Mapping[str, CameraTiming] = field(default_factory=dict)


def render(contents: Contents) -> str:
    """The page as text."""
    order = list(contents.agreements)  # as the command line names them: not every mode speaks at the first query
    verdicts = [row for row in contents.rows if not row.camera]
    verdicts.sort(key=lambda row: order.index(row.model) if row.model in order else len(order))
    episodes = list(dict.fromkeys(row.episode_id for row in contents.rows))
    cards = [_summary(verdicts), _agreement(contents), _cameras(contents), _problems(contents)]
    cards += [
        _episode(contents, name, [r for r in verdicts if r.episode_id == name]) for name in episodes[:MAX_EPISODES]
    ]
    if len(episodes) > MAX_EPISODES:
        rest = f"<p>{len(episodes) - MAX_EPISODES} more episodes are in the table, rewards.parquet.</p>"
        cards.append(card("Further episodes", rest))
    top = f'<h1>{escape(contents.title)}</h1><p class="lead">Recorded once, scored again.</p>{chips(contents.facts)}'
    return page(f"replay of {contents.title}", top, cards)


def _summary(rows: Sequence[Row]) -> str:
    lines = []
    for model in dict.fromkeys(row.model for row in rows):
        of_model = [row for row in rows if row.model == model]
        known = {head: [r.value for r in of_model if r.head == head.value and r.status == "OK"] for head in _HEADS}
        unknown = sum(row.status not in ("OK", "NO_REFERENCE") for row in of_model)
        means = [number(sum(v) / len(v) if v else None) for v in known.values()]
        ends = [
            r.value for r in of_model if r.episode_end and r.head == RewardHead.COMPLETION.value and r.status == "OK"
        ]
        lines.append([
            escape(model), *means, number(sum(ends) / len(ends) if ends else None), str(unknown),
            f"<code>{of_model[0].fingerprint[:12]}</code>",
        ])  # fmt: skip
    head = ("model", *(f"mean {head.value}" for head in _HEADS), "completion at the end", "UNKNOWN", "fingerprint")
    return card("Models", table(head, lines, frozenset(range(1, 7))))


def _agreement(contents: Contents) -> str:
    rows = [
        [escape(model), f"{100 * a.share:.1f} %", f"{a.largest:.2g}", str(a.recorded), escape(_others(a))]
        for model, a in contents.agreements.items() if a.recorded
    ]  # fmt: skip
    head = ("model", "within 0.001", "largest difference", "recorded rewards", "other differences")
    body = table(head, rows, frozenset({1, 2, 3})) if rows else ""
    return card("Against the rewards that were published live", body)


def _others(found: Agreement) -> str:
    parts = [f"{n} × {a} live, {b} here" for (a, b), n in sorted(found.statuses.items())]
    parts += [f"{found.not_replayed} not asked here"] if found.not_replayed else []
    parts += [f"{found.not_recorded} not recorded"] if found.not_recorded else []
    parts += [f"{found.other_ends} are no end of their episode, as was published"] if found.other_ends else []
    parts += [f"{found.other_models} of another model"] if found.other_models else []
    parts += [f"{len(found.strays)} of episodes that are not in this input"] if found.strays else []
    return "; ".join(parts) or "none"


def _cameras(contents: Contents) -> str:
    rows = [
        [escape(camera), str(timing.frames), f"{timing.rate_hz:.3g}" if timing.rate_hz else "", str(len(timing.gaps())),
         str(timing.missing()), str(timing.repeated)]
        for camera, timing in contents.cameras.items()
    ]  # fmt: skip
    head = ("camera", "frames", "rate (Hz)", "gaps", "frames missing in them", "repeated stamps")
    return card("Cameras", table(head, rows, frozenset(range(1, 6))) if rows else "")


def _problems(contents: Contents) -> str:
    lines = "".join(f"<li>{escape(problem)}</li>" for problem in contents.problems)
    return card("Problems of the recording", f"<ul>{lines}</ul>" if lines else "")


def _episode(contents: Contents, name: str, rows: Sequence[Row]) -> str:
    start_ns, end_ns = min(row.stamp_ns for row in rows), max(row.stamp_ns for row in rows)
    live = [r for r in contents.recorded if r.episode_id == name]
    series: dict[str, Sequence[Scored]] = {LIVE: sorted(live, key=lambda r: r.stamp_ns)} if live else {}
    several = len({row.task for row in rows}) > 1
    for model in dict.fromkeys(row.model for row in rows):
        of_model = [row for row in rows if row.model == model]
        series[f"{model}: “{of_model[0].task}”" if several else model] = of_model
    charts = [
        markup.episode(title, heads_chart(rewards, start_ns, end_ns, f"{title}: rewards of {name}"))
        for title, rewards in series.items()
    ]
    alone = any({one.head for one in rewards} == {RewardHead.FUSED.value} for rewards in series.values())
    keys = (*HEAD_KEYS, (FUSED, "fused")) if alone else HEAD_KEYS
    tasks = " · ".join(f"“{escape(task)}”" for task in dict.fromkeys(row.task for row in rows))
    note = f"{tasks}, {(end_ns - start_ns) / 1e9:.1f} s, {max(row.query for row in rows) + 1} queries"
    return card(name, film(contents.film.of(name), start_ns) + markup.episodes(charts, keys), note)
