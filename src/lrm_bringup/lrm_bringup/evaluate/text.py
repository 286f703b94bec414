"""The evaluation as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

HEADS = ("progress", "completion", "contrastive", "fused")


def names_of(models: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(head, figure) of everything that one of the models has, in order."""
    for head in HEADS:
        yield from dict.fromkeys((head, name) for model in models.values() for name in model.get(head, {}))


def shown(row: Mapping[str, Any] | None) -> str:
    """A figure with its interval; a dash where it is not defined."""
    if row is None or row["value"] is None:
        return "–"
    low, high = row["ci95"]
    return f"{row['value']:.3g}" + ("" if low is None else f" [{low:.3g}, {high:.3g}]")


def unknowns(model: Mapping[str, Any]) -> str:
    """Why answers of a model are missing, per head; empty when none is."""
    parts = []
    for head in HEADS:
        counts = model["status"].get(head, {})
        parts += [f"{head} {status} {n}" for status, n in counts.items() if status not in ("OK", "NO_REFERENCE")]
    return ", ".join(parts)


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """Sources, figures of all models beside each other, comparisons."""
    for one in result["sources"]:
        oracle = ", ".join(f"{name} ({count})" for name, count in one["oracle"].items())
        console.print(
            f"{one['source']}: {one['episodes']} episodes, {one['successful']} successful, {one['failed']} failed, "
            f"{one['unknown_outcome']} unknown; oracle reward: {oracle}", highlight=False, soft_wrap=True,
        )  # fmt: skip
    models = result["models"]
    table = Table("head", "figure", *models, title=f"definition of the published figures: {result['definition']}")
    for head, name in names_of(models):
        table.add_row(head, name, *(shown(model.get(head, {}).get(name)) for model in models.values()))
    console.print(table)
    for name, model in models.items():
        if missing := unknowns(model):
            console.print(f"{name}, UNKNOWN: {missing}", highlight=False, soft_wrap=True)
    if result["comparisons"]:
        console.print(_comparisons(result["comparisons"]))


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        "figure", "models", "difference", "n", "test", "p", "p, Holm", "better", title="the same episodes, paired"
    )
    for row in rows:
        cell = shown({"value": row["difference"], "ci95": row["ci95"]})
        p, p_holm = (f"{row[name]:.2g}" if row[name] is not None else "–" for name in ("p", "p_holm"))
        pair = f"{row['first']} → {row['second']}"
        table.add_row(row["figure"], pair, cell, str(row["episodes"]), row["test"], p, p_holm, row["better"] or "–")
    return table
