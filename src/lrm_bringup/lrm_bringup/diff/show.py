"""A comparison for people in a terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from lrm_bringup.diff.compare import Comparison, Figure, Side


def show(comparison: Comparison, console: Console) -> None:
    """Print everything that is said about two runs."""
    a, b = comparison.names
    for note in comparison.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    console.print(_figures(comparison, a, b))
    outcomes = Table("", "outcome", "A", "B", title="Episodes by outcome", title_justify="left")
    for group, name, first, second in comparison.outcomes:
        outcomes.add_row(group, name, str(first), str(second))
    console.print(outcomes)
    for title, rows in (("What was run", comparison.facts), ("Parameters of the newest bag", comparison.parameters)):
        if rows:
            table = Table("", "A", "B", title=f"{title}: what differs", title_justify="left")
            for row in rows:
                table.add_row(*row)
            console.print(table)
        else:
            console.print(f"{title}: nothing differs")


def value_text(value: float, unit: str, signed: bool = False) -> str:
    """A figure for people: shares in percent, times in milliseconds; a dash when it is unknown."""
    if math.isnan(value):
        return "–"
    sign = "+" if signed else ""
    if unit == "share":
        return f"{100 * value:{sign}.1f} %"
    return f"{1000 * value:{sign}.1f} ms" if unit == "s" else f"{value:{sign}.3f}"


def side_text(side: Side, unit: str) -> str:
    """Value, interval where there is one, and number."""
    interval = "" if math.isnan(side.low) else f" [{100 * side.low:.0f}, {100 * side.high:.0f}]"
    return f"{value_text(side.value, unit)}{interval} (n {side.n})"


def difference_text(figure: Figure) -> str:
    """The difference with its interval, and p where scenes are paired."""
    if math.isnan(figure.difference):
        return "–"
    text = value_text(figure.difference, figure.unit, signed=True)
    if figure.has_interval:
        text += f" [{value_text(figure.low, figure.unit, True)}, {value_text(figure.high, figure.unit, True)}]"
    return text if math.isnan(figure.p) else f"{text}, p {figure.p:.3f}"


def _figures(comparison: Comparison, a: str, b: str) -> Table:
    title = f"A {a}, B {b}: differences B - A with 95 % intervals"
    table = Table("", "figure", "A", "B", "B - A", "", "how", title=title, title_justify="left")
    for figure in comparison.figures:
        sides = (side_text(side, figure.unit) for side in (figure.a, figure.b))
        mark = "*" if figure.differs else ""
        table.add_row(figure.group, figure.name, *sides, difference_text(figure), mark, figure.method)
    table.caption, table.caption_justify = f"* {comparison.by_chance}", "left"
    return table
