"""``reward_eval.html``: figures, plots, comparisons and the worst errors. One file, no network needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from lrm_bringup.evaluate import charts
from lrm_bringup.evaluate.text import names_of, shown, unknowns
from lrm_bringup.evaluate.worst import COMPARISON, PROGRESS, SUCCESS, Worst
from lrm_bringup.pages.markup import card, chips, legend, page, table, tag
from lrm_bringup.pages.numbers import number
from lrm_bringup.pages.rewards import HEAD_KEYS, TRUTH
from lrm_core.rewards import RewardHead
from lrm_reward_node.evaluation.judged import JudgedEpisode

GROUPED = (
    ("progress", "per_traj_pearson"),
    ("progress", "voc"),
    ("completion", "roc_auc"),
    ("contrastive", "direction_acc_clear"),
)
Draw = Callable[[Mapping[str, Any], Mapping[str, str]], str]
OPEN_ROWS = 12
"""Longer tables of comparisons are folded."""
MAX_EPISODES = 24
_KEYS = [*HEAD_KEYS[:-1], (TRUTH, "true progress"), HEAD_KEYS[-1]]
_NOTES = {
    PROGRESS: "Largest distance of progress from true progress in an episode.",
    SUCCESS: "A success was confirmed where the task was not done.",
    COMPARISON: "The surest comparison of two frames that was wrong.",
}


def render(result: Mapping[str, Any], episodes: Mapping[str, Sequence[JudgedEpisode]], worst: Sequence[Worst]) -> str:
    """The page as text, from the summary, the episodes of every model and the errors to show."""
    models = result["models"]
    colour = charts.colours(list(models))
    keys = legend([(colour[name], name) for name in models])
    cards = [
        _sources(result["sources"]),
        _figures(models, result["definition"]),
        _comparisons(result["comparisons"]),
        *_plots(models, colour),
        *(_groups(models, by, title) for by, title in (("by_task", "Per task"), ("by_source", "Per source"))),
        _side_by_side(episodes, colour, keys),
        *(_worst(kind, [one for one in worst if one.kind == kind]) for kind in (PROGRESS, SUCCESS, COMPARISON)),
        _problems(
            [
                *(f"{n}, UNKNOWN: {u}" for n, m in models.items() if (u := unknowns(m))),
                *result["refused"],
                *result["problems"],
            ]
        ),
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
        rows.append([escape(head), f"<code>{escape(name)}</code>{note}", *map(_cell, found)])
    columns = ("head", "figure", *(escape(name).replace(" (", "<br>(") for name in models))
    note = f"With 95 % intervals; published figures as {escape(definition)}. A dash: not defined on these episodes."
    return card("Figures", table(columns, rows, frozenset(range(2, len(columns)))), note)


def _cell(row: Mapping[str, Any] | None) -> str:
    """A figure over its interval, which makes a column half as wide."""
    figure, _, ends = shown(row).partition(" ")
    return f'{figure}<br><span class="note">{ends}</span>' if ends else figure


def _known(row: Mapping[str, Any] | None) -> bool:
    return row is not None and row["value"] is not None


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("figure", "models", "difference, 95 %", "episodes", "p", "p, Holm", "better")
    cells = [
        [
            f"<code>{escape(row['figure'])}</code>", f"{escape(row['first'])} → {escape(row['second'])}",
            shown({"value": row["difference"], "ci95": row["ci95"]}), str(row["episodes"]),
            f'{number(row["p"], 4)}<br><span class="note">{escape(row["test"])}</span>', number(row["p_holm"], 4),
            tag(row["better"], "good") if row["better"] else tag("neither", "muted"),
        ]
        for row in rows
    ]  # fmt: skip
    note = "Differences on the episodes that both models scored. Corrected by Holm for all pairs of one figure."
    body = table(head, cells, frozenset({2, 3, 4, 5})) if cells else ""
    if len(cells) > OPEN_ROWS:
        better = sum(bool(row["better"]) for row in rows)
        body = f"<details><summary>{better} of {len(rows)} differences are beyond chance</summary>{body}</details>"
    return card("Models compared", body, note)


def _side_by_side(episodes: Mapping[str, Sequence[JudgedEpisode]], colour: Mapping[str, str], keys: str) -> str:
    """Progress of all models over the same episodes; empty with one model."""
    by_key: dict[tuple[str, str], dict[str, JudgedEpisode]] = {}
    for model, found in episodes.items():
        for one in found:
            if RewardHead.PROGRESS in one.values and len(one.t_s):
                by_key.setdefault(one.key, {})[model] = one
    shared = {key: of_models for key, of_models in by_key.items() if len(of_models) > 1}
    body = ""
    for key, of_models in list(shared.items())[:MAX_EPISODES]:
        outcome = next(iter(of_models.values())).truth.outcome
        body += f'<div class="episode"><h3>{escape(key[1])}{tag(outcome, "muted") if outcome else ""}</h3>'
        body += f"{charts.curves(of_models, colour)}</div>"
    rest = f"The first {MAX_EPISODES} of {len(shared)} episodes. " if len(shared) > MAX_EPISODES else ""
    note = f"{rest}Dashed: true progress, where it is known; a gap is UNKNOWN."
    return card("Progress, all models", f'{keys}<div class="pairs">{body}</div>' if body else "", note)


def _plots(models: Mapping[str, Any], colour: Mapping[str, str]) -> Iterator[str]:
    """Tolerance curve, ROC and reliability, each of the models that have it."""
    yield _plot("Tolerance curve: share of frames with |p − p*| ≤ Δ", charts.tolerance, models, colour, _curve)
    for head in (RewardHead.PROGRESS, RewardHead.COMPLETION):
        points = partial(_part, "roc", head)
        yield _plot(f"ROC, the last score: {head.value}", partial(charts.roc, head=head), models, colour, points)
    for head in (RewardHead.COMPLETION, RewardHead.CONTRASTIVE):
        points = partial(_part, "reliability", head)
        yield _plot(f"Reliability: {head.value}", partial(charts.reliability, head=head), models, colour, points)


def _plot(
    title: str, draw: Draw, models: Mapping[str, Any], colour: Mapping[str, str], points: Callable[[Any], Any]
) -> str:
    having = {name: model for name, model in models.items() if points(model)}
    keys = legend([(colour[name], name) for name in having])
    return card(title, f"{keys}{draw(having, colour)}" if having else "", "", "half")


def _curve(model: Mapping[str, Any]) -> Any:
    return model["tolerance_curve"]["points"]


def _part(name: str, head: RewardHead, model: Mapping[str, Any]) -> Any:
    return any(model[name][head.value].values())


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
        f'<figure><img src="{uri}" alt=""><figcaption>{float(episode.t_s[index]):.1f} s</figcaption></figure>'
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
