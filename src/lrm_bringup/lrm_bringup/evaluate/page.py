"""``reward_eval.html``: figures, plots, comparisons and the worst errors. One file, no network needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from lrm_bringup.evaluate import charts
from lrm_bringup.evaluate.text import names_of, shown
from lrm_bringup.evaluate.worst import COMPARISON, PROGRESS, SUCCESS, Worst
from lrm_bringup.report import figures
from lrm_bringup.report.markup import card, chips, legend, number, page, table, tag
from lrm_core.rewards import RewardHead

GROUPED = (
    ("progress", "per_traj_pearson"),
    ("progress", "voc"),
    ("completion", "roc_auc"),
    ("contrastive", "direction_acc_clear"),
)
_KEYS = [
    (figures.PROGRESS, "progress"), (figures.COMPLETION, "completion"), (figures.CONTRASTIVE, "contrastive"),
    (figures.TRUTH, "true progress"), (figures.UNKNOWN, "✕ UNKNOWN"),
]  # fmt: skip
_NOTES = {
    PROGRESS: "Largest distance of progress from true progress in an episode.",
    SUCCESS: "A success was confirmed where the task was not done.",
    COMPARISON: "The surest comparison of two frames that was wrong.",
}


def render(result: Mapping[str, Any], worst: Sequence[Worst]) -> str:
    """The page as text."""
    models = result["models"]
    colour = charts.colours(list(models))
    keys = legend([(colour[name], name) for name in models])
    cards = [
        _sources(result["sources"]),
        _figures(models, result["definition"]),
        _comparisons(result["comparisons"]),
        card(
            "Tolerance curve",
            _plot(keys, charts.tolerance(models, colour)),
            "Share of frames with |p − p*| ≤ Δ.",
            "half",
        ),
        *(
            _head_plot("ROC, the last score", charts.roc, models, colour, keys, head)
            for head in (RewardHead.PROGRESS, RewardHead.COMPLETION)
        ),
        *(
            _head_plot("Reliability", charts.reliability, models, colour, keys, head)
            for head in (RewardHead.COMPLETION, RewardHead.CONTRASTIVE)
        ),
        *(_groups(models, by, title) for by, title in (("by_task", "Per task"), ("by_source", "Per source"))),
        *(_worst(kind, [one for one in worst if one.kind == kind]) for kind in (PROGRESS, SUCCESS, COMPARISON)),
        _problems([*result["refused"], *result["problems"]]),
    ]
    return page("reward model evaluation", _top(result), cards)


def _top(result: Mapping[str, Any]) -> str:
    facts = [
        ("episodes", str(sum(one["episodes"] for one in result["sources"]))),
        ("models", str(len(result["models"]))),
        ("published figures as", result["definition"]),
        ("intervals", f"95 %, {result['resamples']} bootstrap samples of episodes, seed {result['seed']}"),
    ]
    lead = '<p class="lead">What was scored, held against what was true. Every figure: docs/evaluation.md.</p>'
    return f"<h1>Reward models, open loop</h1>{lead}{chips(facts)}"


def _sources(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("source", "episodes", "successful", "failed", "outcome unknown", "with true progress", "oracle reward")
    cells = [
        [
            escape(row["source"]), *(str(row[name]) for name in
            ("episodes", "successful", "failed", "unknown_outcome", "with_true_progress")),
            escape(", ".join(f"{name} ({count})" for name, count in row["oracle"].items())),
        ]
        for row in rows
    ]  # fmt: skip
    return card("What was evaluated", table(head, cells, frozenset(range(1, 6))))


def _figures(models: Mapping[str, Any], definition: str) -> str:
    rows = []
    for head, name in names_of(models):
        found = [model.get(head, {}).get(name) for model in models.values()]
        why = next((one["needs"] for one in found if one is not None and "needs" in one), "")
        note = f'<br><span class="note">needs {escape(why)}</span>' if why and not any(map(_known, found)) else ""
        rows.append([escape(head), f"<code>{escape(name)}</code>{note}", *(shown(one) for one in found)])
    columns = ("head", "figure", *map(escape, models))
    note = f"With 95 % intervals; published figures as {escape(definition)}. A dash: not defined on these episodes."
    return card("Figures", table(columns, rows, frozenset(range(2, len(columns)))), note)


def _known(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["value"] is not None


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("figure", "models", "difference, 95 %", "episodes", "test", "p", "p, Holm", "better")
    cells = [
        [
            f"<code>{escape(row['figure'])}</code>", f"{escape(row['first'])} → {escape(row['second'])}",
            shown({"value": row["difference"], "ci95": row["ci95"]}), str(row["episodes"]), escape(row["test"]),
            number(row["p"], 4), number(row["p_holm"], 4),
            tag(row["better"], "good") if row["better"] else tag("neither", "muted"),
        ]
        for row in rows
    ]  # fmt: skip
    note = "Differences on the episodes that both models scored. Corrected by Holm for all pairs of one figure."
    return card("Models compared", table(head, cells, frozenset({2, 3, 5, 6})) if cells else "", note)


def _plot(keys: str, svg: str) -> str:
    return f"{keys}{svg}" if svg else ""


def _head_plot(
    title: str,
    draw: Callable[..., str],
    models: Mapping[str, Any],
    colour: Mapping[str, str],
    keys: str,
    head: RewardHead,
) -> str:
    return card(f"{title}: {head.value}", _plot(keys, draw(models, colour, head)), "", "half")


def _groups(models: Mapping[str, Any], by: str, title: str) -> str:
    """One figure per group; empty where there is one group alone."""
    body = ""
    for name, model in models.items():
        found = model[by]
        if len(found) < 2:
            continue
        for head, figure in GROUPED:
            svg = charts.groups([(group, row.get(head, {}).get(figure)) for group, row in found.items()], f"{figure}")
            body += f'<div class="episode"><h3>{escape(name)}: {head} {figure}</h3>{svg}</div>' if svg else ""
    return card(title, f'<div class="pairs">{body}</div>' if body else "")


def _worst(kind: str, errors: Sequence[Worst]) -> str:
    shown_errors = "".join(_error(one) for one in errors)
    body = f'{legend(_KEYS)}<div class="pairs">{shown_errors}</div>' if errors else ""
    return card(f"Worst errors: {kind}", body, _NOTES[kind])


def _error(one: Worst) -> str:
    episode = one.episode
    outcome = tag(episode.truth.outcome, "good" if episode.truth.success else "muted") if episode.truth.outcome else ""
    strip = "".join(
        f'<figure><img src="{uri}" alt=""><figcaption{" class=bad" if index == one.query else ""}>'
        f"{float(episode.t_s[index]):.1f} s</figcaption></figure>"
        for index, uri in one.film
    )
    film = (
        f'<div class="strip">{strip}</div>'
        if strip
        else '<p class="note">No pictures: the scores alone were given.</p>'
    )
    facts = f"{episode.source} · {episode.name} · “{episode.task}”"
    head = f"{one.model}: {one.text} at {float(episode.t_s[one.query]):.1f} s"
    return (
        f'<div class="episode"><h3>{escape(head)}{outcome}</h3>'
        f'<span class="note">{escape(facts)}</span>{film}{charts.episode(episode, one.text)}</div>'
    )


def _problems(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return card("Problems", f"<ul>{items}</ul>" if items else "")
