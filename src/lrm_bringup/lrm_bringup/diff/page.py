"""A comparison as one page that needs nothing else."""

from __future__ import annotations

from html import escape

from lrm_bringup.diff.compare import Comparison, Figure
from lrm_bringup.diff.show import difference_text, side_text
from lrm_bringup.pages.markup import card, page, table, tag


def render(comparison: Comparison) -> str:
    """The page as text."""
    a, b = (escape(name) for name in comparison.names)
    notes = "".join(f'<p class="bad">{escape(note)}</p>' for note in comparison.notes)
    top = f"<h1>What changed</h1><p>A is <b>{a}</b>, B is <b>{b}</b>. Differences are B − A, with 95 % intervals.</p>"
    top += f'<p class="note">{comparison.by_chance}.</p>'
    groups = dict.fromkeys(figure.group for figure in comparison.figures)
    cards = [_figures(group, [f for f in comparison.figures if f.group == group]) for group in groups]
    outcomes = [(escape(g), escape(name), str(x), str(y)) for g, name, x, y in comparison.outcomes]
    cards.append(card("Episodes by outcome", table(("", "outcome", "A", "B"), outcomes, frozenset((2, 3)))))
    cards += [
        card(f"{title}: what differs", table(("", "A", "B"), [[escape(cell) for cell in row] for row in rows]))
        if rows else card(title, "<p>Nothing differs.</p>")
        for title, rows in (("What was run", comparison.facts), ("Parameters of the newest bag", comparison.parameters))
    ]  # fmt: skip
    return page("What changed", top + notes, cards)


def _figures(group: str, figures: list[Figure]) -> str:
    rows = [
        (
            escape(figure.name),
            *(side_text(side, figure.unit) for side in (figure.a, figure.b)),
            difference_text(figure),
            tag("differs", "bad") if figure.differs else "",
            f'<span class="muted">{escape(figure.method)}</span>',
        )
        for figure in figures
    ]
    head = ("", "A", "B", "B − A", "", "how")
    return card(f"Episodes: {group}", table(head, rows, frozenset((1, 2, 3))))
