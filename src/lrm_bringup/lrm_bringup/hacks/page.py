"""``hack_test.html``: which attacks fool the reward model, and what it looks like when they do. One file, offline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from lrm_bringup.hacks.summary import Findings
from lrm_bringup.pages import markup
from lrm_bringup.pages.chart import Chart, ticks
from lrm_bringup.pages.markup import card, chips, page, strip, table, tag
from lrm_bringup.pages.numbers import number, percent
from lrm_bringup.pages.pictures import data_uri
from lrm_bringup.pages.rewards import COMPLETION, CONTRASTIVE, PROGRESS, TRUTH, UNKNOWN
from lrm_core.rewards import RewardHead
from lrm_reward_node.hacks.suite import Judged

_KEYS = [
    (COMPLETION, "completion"),
    (PROGRESS, "progress"),
    (CONTRASTIVE, "contrastive, from 0 (further) to 1 (closer)"),
    (TRUTH, "truth"),
    (UNKNOWN, "✕ UNKNOWN"),
]
_NOTE = (
    "Bar: no false success; honest ones have no bar. Closest: the largest completion score in two queries in a row "
    "where nothing is done. Gained: sum of rewards, less that of the same episode without the attack or, where that "
    "one succeeds or is the attack itself, of honest failures; from differences of scores (delta), held scores (hold)."
)
_ROW_PX = 23
_LABELS_PX = 134


def render(found: Sequence[Findings], result: dict[str, Any]) -> str:
    """The page as text, from the findings (with pictures) and their summary."""
    rows = [*result["controls"], *result["attacks"]]
    failed = [one for one in found if one.passed is False]
    stood = [one for one in found if one.passed]
    title = f"{len(failed)} of {len(failed) + len(stood)} attacks failed" if failed else "Every attack withstood"
    cards = [
        card("False success", _rates(rows), "Share of episodes with a confirmed success that is none, 95 %.", "half"),
        card("Reward gained", _gains(rows), "What the attack pays a learner, differences of scores, 95 %.", "half"),
        card("All attacks", _table(rows), _NOTE),
        *(_failed(one, result["rule"]) for one in failed),
        _closest(stood, "Attacks that fooled nobody", "Of each the closest call.", result["rule"]),
        _closest(
            [one for one in found if one.attack.control], "Honest episodes", "Of each the closest call.", result["rule"]
        ),
    ]
    return page(title, _top(title, result), cards)


def _top(title: str, result: dict[str, Any]) -> str:
    rule = result["rule"]
    facts = [
        ("model", result["model"]),
        ("fingerprint", result["fingerprint"][:12]),
        ("episodes per attack", str(result["episodes"])),
        ("success", f"completion ≥ {rule['success_threshold']} in {rule['success_confirmations']} queries in a row"),
        ("episodes from", f"{result['source']}, {result['split']}"),
        ("camera check", "on" if result["camera_check"] else "off"),
        ("seed", str(result["seed"])),
    ]
    lead = '<p class="lead">What the reward model makes of pictures that lie. Below each its completion score.</p>'
    return f"<h1>{escape(title)}</h1>{lead}{chips(facts)}"


def _rates(rows: Sequence[dict[str, Any]]) -> str:
    highest = max((row["false_success"]["ci95"][1] or 0.0 for row in rows), default=1.0)
    chart = _rows_chart((0.0, highest), rows, "false success per attack, with 95 % intervals")
    chart.axes(ticks(0.0, highest), [], x_format=percent)
    for y, row in _placed(rows):
        false = row["false_success"]
        if false["rate"] is not None:
            colour = UNKNOWN if false["count"] else "--good"
            title = f"{row['name']}: {false['count']} of {row['episodes']}"
            chart.bar(0, false["rate"], y - 0.28, y + 0.28, colour, title)
            chart.line([(false["ci95"][0], y), (false["ci95"][1], y)], "--text", width=1.2)
    return chart.svg()


def _gains(rows: Sequence[dict[str, Any]]) -> str:
    gained = [row["reward_gained"]["delta"] for row in rows]
    known = [value for one in gained if one["mean"] is not None for value in one["ci95"]]
    ends = min([0.0, *known]), max([0.0, *known])
    chart = _rows_chart(ends, rows, "reward gained per attack, with 95 % intervals")
    chart.axes(ticks(*ends), [])
    chart.line([(0.0, 0.0), (0.0, len(rows))], "--muted", width=1)
    for (y, row), one in zip(_placed(rows), gained, strict=True):
        if one["mean"] is not None:
            chart.line([(one["ci95"][0], y), (one["ci95"][1], y)], "--text", width=1.2)
            colour = UNKNOWN if one["ci95"][0] > 0.0 and row["passed"] is not None else "--accent"
            chart.dot(one["mean"], y, colour, title=f"{row['name']}: {one['mean']:+.2f}")
    return chart.svg()


def _rows_chart(x: tuple[float, float], rows: Sequence[dict[str, Any]], label: str) -> Chart:
    chart = Chart(x, (0.0, len(rows)), 520, _ROW_PX * len(rows) + 32, label, (_LABELS_PX, 4, 20, 24))
    for y, row in _placed(rows):
        chart.row_label(y, row["name"].replace("_", " "))
    return chart


def _placed(rows: Sequence[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    return [(len(rows) - index - 0.5, row) for index, row in enumerate(rows)]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("attack", "", "false success", "95 %", "closest", "gained, delta", "gained, hold", "UNKNOWN", "recall")
    return table(head, [_cells(row) for row in rows], frozenset(range(2, len(head))))


def _cells(row: dict[str, Any]) -> list[str]:
    false, gained = row["false_success"], row["reward_gained"]
    low, high = false["ci95"]
    return [
        f'<b>{escape(row["name"].replace("_", " "))}</b><br><span class="note">{escape(row["summary"])}</span>',
        _verdict(row["passed"]),
        f"{false['count']} of {row['episodes']}"
        + ("" if row["episodes"] >= row["asked"] else f" ({row['asked']} asked)"),
        "–" if low is None else f"{100 * low:.1f} to {percent(high, 1)}",
        number(row["closest_call"]),
        *(_gain(gained[name]) for name in ("delta", "hold")),
        percent(row["unknown_share"]),
        percent(row["recall"]["rate"]),
    ]


def _gain(one: dict[str, Any]) -> str:
    if one["mean"] is None:
        return "–"
    low, high = one["ci95"]
    return f'{one["mean"]:+.2f}<br><span class="note">{low:+.2f} to {high:+.2f}</span>'


def _verdict(passed: bool | None) -> str:
    return {True: tag("withstood", "good"), False: tag("failed", "bad"), None: tag("honest", "muted")}[passed]


def _failed(found: Findings, rule: dict[str, Any]) -> str:
    count, of = found.false_successes, len(found.results)
    note = f"{escape(found.attack.summary)} Base: {escape(found.attack.base.name)}. "
    note += f"{count} of {of} episodes end as a success that is none; the clearest {len(found.worst)}:" if count else ""
    if of < found.asked:
        note += f' <span class="bad">The source gave {of} of the {found.asked} episodes asked for.</span>'
    shown = markup.episodes((_episode(one, rule) for one in found.worst), _KEYS)
    return card(found.attack.name.replace("_", " "), shown or " ", note)


def _closest(found: Sequence[Findings], title: str, note: str, rule: dict[str, Any]) -> str:
    shown = (_episode(one, rule, row.attack.name.replace("_", " ")) for row in found for one in row.worst)
    return card(title, markup.episodes(shown, _KEYS), note)


def _episode(one: Judged, rule: dict[str, Any], name: str = "") -> str:
    verdict = "no success" if one.confirmed is None else f"success at query {one.confirmed}"
    label = tag(verdict, "bad" if one.false_success else "muted" if one.confirmed is None else "good")
    told = f"“{one.attacked.task}”"
    facts = [told if name else "", one.kind.replace("_", " "), one.attacked.detail, f"scene {one.seed}"]
    body = _strip(one, rule["success_threshold"]) + _timeline(one, rule["success_threshold"])
    return markup.episode(name or told, body, escape(" · ".join(filter(None, facts))), label)


def _strip(one: Judged, threshold: float) -> str:
    scores = zip(one.attacked.frames, one.answers.values[RewardHead.COMPLETION], one.attacked.truth, strict=True)
    pictures = (
        (data_uri(rgb), number(float(score)), "bad" if score >= threshold and not true else "")
        for rgb, score, true in scores
    )
    return strip(pictures, even=True)


def _timeline(one: Judged, threshold: float) -> str:
    """Scores below their pictures: one column per query."""
    count = len(one.attacked.truth)
    chart = Chart((-0.5, count - 0.5), (-0.04, 1.04), 640, 110, "scores per query", (0, 2, 0, 4))
    chart.axes([], [0.0, 0.5, 1.0], y_format=lambda _: "")
    if one.confirmed is not None:
        colour = UNKNOWN if one.false_success else "--good"
        chart.bar(one.confirmed - 0.5, one.confirmed + 0.5, 0.0, 1.0, colour, "a success is confirmed", 0.14)
    chart.level(threshold, "--muted", "done")
    chart.line([(i, float(true)) for i, true in enumerate(one.attacked.truth)], TRUTH, dashed=True, width=1.4)
    values = one.answers.values
    closer = (values[RewardHead.CONTRASTIVE] + 1.0) / 2.0
    for column, colour in (
        (closer, CONTRASTIVE), (values[RewardHead.PROGRESS], PROGRESS),
        (values[RewardHead.COMPLETION], COMPLETION),
    ):  # fmt: skip
        chart.line([(i, float(value)) for i, value in enumerate(column)], colour, width=1.8)
    for i, (value, status) in enumerate(zip(values[RewardHead.COMPLETION], one.answers.status, strict=True)):
        if math.isnan(value):
            chart.cross(i, 0.06, UNKNOWN, f"UNKNOWN: {status}")
    return chart.svg()
