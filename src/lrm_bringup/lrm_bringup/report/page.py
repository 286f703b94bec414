"""``report.html``: one file that needs nothing else, readable in light and dark."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

from lrm_bringup.pages import markup
from lrm_bringup.pages.markup import card, chips, film, legend, page, table, tag
from lrm_bringup.pages.numbers import duration, number, percent
from lrm_bringup.pages.rewards import CONTRASTIVE, HEAD_KEYS, PREDICTED, TRUTH
from lrm_bringup.report import figures
from lrm_bringup.report.examples import examples, misjudged
from lrm_bringup.report.journal import AFTER, BEFORE, PHASES, REFINE, EpisodeEnded, Run, read_run
from lrm_bringup.report.strips import film_strip, find_bag
from lrm_bringup.report.summary import write_summary
from lrm_core.rewards import MODEL_HEADS, RewardHead

REPORT = "report.html"
_MAX_FRAMES = 8


def write_report(folder: Path) -> dict[str, Any]:
    """Write ``summary.json`` and ``report.html`` of a run folder from its journal and bags; returns the summary.

    Raises:
        BadInput: the folder holds no readable journal.
    """
    run = read_run(folder)
    summary = write_summary(run)
    (folder / REPORT).write_text(render(run, summary), encoding="utf-8")
    return summary


def render(run: Run, summary: dict[str, Any]) -> str:
    """The page as text."""
    cards = [
        _headline(summary),
        _learning(run),
        _timelines(run, summary),
        _quality(summary),
        _latency(run, summary),
        _outcomes(run),
        _learner(run, summary),
        _unknown(summary),
        _machinery(run, summary),
        _episodes(run, summary),
        _reproduce(summary),
    ]
    title = f"{summary['task']}: {percent(_rate(summary, BEFORE))} → {percent(_rate(summary, AFTER))}"
    return page(title, _top(run, summary), cards)


def _rate(summary: dict[str, Any], phase: str) -> float | None:
    rate: float | None = summary["success"][phase]["rate"]
    return rate


def _top(run: Run, summary: dict[str, Any]) -> str:
    facts = [
        ("seed", str(summary["seed"])),
        ("reward", summary["reward_source"]),
        ("refined episodes", str(summary["episodes"])),
        ("time", duration(summary["wall_s"])),
        ("started", summary["started_at"]),
    ]
    warning = "" if summary["finished"] else f'<p class="bad">This run ended early: {escape(summary["reason"])}.</p>'
    return f"<h1>“{escape(summary['task'])}”</h1>{_lead(summary)}{warning}{chips(facts)}"


def _lead(summary: dict[str, Any]) -> str:
    source = {
        "lrm": "A policy, refined from the rewards of a vision-language model that sees the camera alone.",
        "privileged": "A policy, refined from the simulator's own progress: the ceiling for a learned reward.",
        "sparse": "A policy, refined from the simulator's success alone.",
    }[summary["reward_source"]]
    return f'<p class="lead">{source}</p>'


def _headline(summary: dict[str, Any]) -> str:
    before, after, difference = (summary["success"][name] for name in (BEFORE, AFTER, "difference"))
    gain = ""
    if difference["value"] is not None:
        low, high = difference["ci95"]
        gain = (
            f'<p class="note">On the same {difference["pairs"]} scenes: {100 * difference["value"]:+.0f} points, '
            f"95 % between {100 * low:+.0f} and {100 * high:+.0f}.</p>"
        )
    big = (
        f'<div class="headline"><span class="big from">{percent(before["rate"])}</span><span class="arrow">→</span>'
        f'<span class="big to">{percent(after["rate"])}</span></div>{gain}'
    )
    note = "True success at the end of the episode, from the simulator's audit. No learner sees it."
    return card("Success", big, note, "third") + card(
        "With 95 % confidence", figures.success_bars(summary),
        f"{before['n']} and {after['n']} fresh scenes, the same ones before and after.", "twothirds",
    )  # fmt: skip


def _learning(run: Run) -> str:
    if not run.phase(REFINE):
        return ""
    keys = legend([
        (TRUTH, f"true success, mean of {figures.WINDOW} (dots: filled yes, hollow no)"),
        (PREDICTED, f"success as the reward model sees it, mean of {figures.WINDOW} (small dots: its score)"),
    ])  # fmt: skip
    note = "Thin upright lines: new weights from the learner. Exploration is on here, so the evaluation is fairer."
    return card("While it learns", keys + figures.learning_curve(run), note)


def _timelines(run: Run, summary: dict[str, Any]) -> str:
    shown = [_one_timeline(run, summary, why, episode) for why, episode in examples(run)]
    body = markup.episodes(shown, [*HEAD_KEYS, (TRUTH, "true progress (audit)")])
    return card(
        "What the reward model saw and said", body, "Film strips: the very frames that were scored, from the bags."
    )


def _one_timeline(run: Run, summary: dict[str, Any], why: str, episode: EpisodeEnded) -> str:
    bag = find_bag(summary["bags"], episode.episode_id)
    link = f' <a href="{escape(bag)}">bag</a>' if bag else ""
    said = "unknown" if math.isnan(episode.predicted) else f"{episode.predicted:.2f}"
    facts = f"seed {episode.seed} · {episode.reason.replace('_', ' ')} · model says {said} ·{link or ' no bag'}"
    body = _strip(run, episode, bag) + figures.timeline(run, episode)
    return markup.episode(why, body, facts, _truth_tag(episode))


def _truth_tag(episode: EpisodeEnded) -> str:
    if episode.success is None:
        return tag("truth unknown", "muted")
    return tag(episode.outcome.replace("_", " ") or str(episode.success), "good" if episode.success else "bad")


def _strip(run: Run, episode: EpisodeEnded, bag: str | None) -> str:
    if bag is None:
        return ""
    scored = [reward.stamp_ns for reward in run.values(episode.episode_id, RewardHead.PROGRESS.value)]
    stride = max(1, math.ceil(len(scored) / _MAX_FRAMES))
    frames = film_strip(run.folder / bag, sorted({*scored[::stride], *scored[-1:]}))
    return film(frames, episode.start_ns)


def _quality(summary: dict[str, Any]) -> str:
    reward = summary["reward"]
    rows = [
        ("progress follows the truth", "mean Pearson per episode", number(reward["progress_pearson"]), "≥ 0.85"),
        ("completion tells success from failure", "ROC AUC", number(reward["completion_auc"], 3), "≥ 0.95"),
        ("contrastive knows the direction", "share right", percent(reward["direction_accuracy"]), "≥ 90 %"),
        ("calls a failure a success", "false success", percent(reward["false_stop_rate"], 1), "≤ 2 %"),
        ("finds the successes", "recall", percent(reward["success_recall"]), "≥ 90 %"),
    ]
    note = f"Against the truth, over {reward['trajectories']} episodes of this run."
    body = table(
        ("question", "measure", "here", "wanted"), [[escape(c) for c in row] for row in rows], frozenset({2, 3})
    )
    return card("How good the rewards were", body, note, "half")


def _latency(run: Run, summary: dict[str, Any]) -> str:
    latency = summary["reward"]["latency_s"]
    parts = {"camera to reward": latency, "transport": latency["transport"], "model": latency["model"]}
    rows = [(name, duration(part["p50"]), duration(part["p99"])) for name, part in parts.items()]
    picture = figures.latency_histogram(run)
    keys = legend([(CONTRASTIVE, "transport: publication to arrival"), ("--accent", "model: arrival to reward")])
    body = table(("", "p50", "p99"), rows, frozenset({1, 2})) + (keys + picture if picture else "")
    return card("How long a reward takes", body, width="half")


def _outcomes(run: Run) -> str:
    picture = figures.outcomes(run)
    body = legend([("--muted", "before"), ("--accent", "after")]) + picture if picture else ""
    return card("How the episodes ended", body, "What the physics shows at the end.", "half")


def _learner(run: Run, summary: dict[str, Any]) -> str:
    learner = summary["learner"]
    facts = (
        f"{learner['updates']} updates on {learner['transitions']} online and {learner['demo_transitions']} "
        f"demonstrated transitions; {learner['dropped_unknown']} dropped because their reward was UNKNOWN."
    )
    return card("The learner: critic loss", figures.learner_curve(run), facts, "half")


def _unknown(summary: dict[str, Any]) -> str:
    reward = summary["reward"]
    heads = [*(head.value for head in MODEL_HEADS), RewardHead.FUSED.value]
    rows = [[status.lower().replace("_", " "), *(str(counts.get(head, 0)) for head in heads)]
            for status, counts in reward["unknown_by_status"].items()]  # fmt: skip
    body = (
        table(("status", *heads), rows, frozenset(range(1, 5))) if rows else "<p>None: every query had an answer.</p>"
    )
    total = reward["scored"] + reward["unknown"]
    note = f"{reward['unknown']} of {total} rewards had no value and were never taken for 0."
    return card("UNKNOWN rewards", body, note, "half")


def _machinery(run: Run, summary: dict[str, Any]) -> str:
    safety = summary["safety"]
    commands = table(
        ("commands", ""),
        [(name, str(safety[name])) for name in ("passed", "limited", "rejected", "holds")],
        frozenset({1}),
    )
    events = [p for p in run.processes if p.event in ("crashed", "restarted", "failed")]
    rows = [(duration(p.t_s), escape(p.name), escape(p.event), escape(p.message)) for p in events]
    lived = (
        table(("at", "process", "event", ""), rows) if rows else '<p class="note">No process had to be restarted.</p>'
    )
    return card("Safety stage and processes", commands + lived, width="half")


def _episodes(run: Run, summary: dict[str, Any]) -> str:
    rows = []
    for phase in PHASES:
        for episode in run.phase(phase):
            bag = find_bag(summary["bags"], episode.episode_id)
            rows.append([
                phase, str(episode.index + 1), str(episode.seed), _verdict(run, episode), number(episode.predicted),
                str(episode.steps), escape(episode.reason.replace("_", " ")), str(episode.weights_version),
                f'<a href="{escape(bag)}">{escape(episode.episode_id)}</a>' if bag else escape(episode.episode_id),
            ])  # fmt: skip
    head = ("phase", "#", "seed", "truth", "model says", "steps", "ended by", "weights", "episode")
    body = table(head, rows, frozenset({1, 2, 4, 5, 7})) if rows else ""
    folded = f"<details><summary>{len(rows)} episodes</summary>{body}</details>" if rows else ""
    return card("Every episode", folded)


def _verdict(run: Run, episode: EpisodeEnded) -> str:
    if episode.success is None:
        return '<span class="muted">unknown</span>'
    mark = " ≠" if misjudged(run, episode) else ""
    return (
        f'<span class="{"good" if episode.success else "bad"}">{escape(episode.outcome.replace("_", " "))}{mark}</span>'
    )


def _reproduce(summary: dict[str, Any]) -> str:
    command = escape("lrm " + " ".join(summary["command"]))
    names = {**summary["fingerprints"], **summary["versions"]}
    rows = [(escape(name), f"<code>{escape(value)}</code>") for name, value in names.items()]
    return card("Do it again", f"<pre>{command}</pre>" + table(("what", "which"), rows),
                "The same seed gives the same scenes; timing decides which weights an episode sees.")  # fmt: skip
