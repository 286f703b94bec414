"""Small pieces of HTML: cards, tables, legends, numbers for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources


def percent(value: float | None, digits: int = 0) -> str:
    """A share for people; a dash when it is unknown."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A number for people; a dash when it is unknown."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """Seconds for people: ``850 ms``, ``4.2 s``, ``17 min 05 s``."""
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def card(title: str, body: str, note: str = "", width: str = "") -> str:
    """A titled box; empty when there is nothing to show."""
    if not body:
        return ""
    note_html = f'<p class="note">{note}</p>' if note else ""
    return f'<section class="card {width}"><h2>{escape(title)}</h2>{note_html}{body}</section>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: frozenset[int] = frozenset()) -> str:
    """A table of ready-made HTML cells; ``numeric`` columns are set flush right."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in numeric else ''}>{v}</{tag}>" for i, v in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'


def legend(items: Iterable[tuple[str, str]]) -> str:
    """(CSS variable, text) pairs as a line of colour keys."""
    keys = "".join(f'<span><i style="background:var({colour})"></i>{escape(text)}</span>' for colour, text in items)
    return f'<div class="legend">{keys}</div>'


def tag(text: str, kind: str) -> str:
    """A small coloured label; ``kind`` is good, bad or muted."""
    return f'<span class="tag {kind}">{escape(text)}</span>'


def chips(items: Iterable[tuple[str, str]]) -> str:
    """(name, value) pairs in round boxes."""
    return '<div class="chips">' + "".join(
        f'<span class="chip">{escape(name)} <b>{escape(value)}</b></span>' for name, value in items
    ) + "</div>"  # fmt: skip


def film(frames: Sequence[tuple[int, str]], start_ns: int) -> str:
    """A strip of (stamp, data URI) pictures with their times since ``start_ns``; empty without any."""
    figures = "".join(
        f'<figure><img src="{uri}" alt=""><figcaption>{(stamp_ns - start_ns) / 1e9:.1f} s</figcaption></figure>'
        for stamp_ns, uri in frames
    )
    return f'<div class="strip">{figures}</div>' if frames else ""


def page(title: str, top: str, cards: Iterable[str]) -> str:
    """A whole page that needs nothing else: style inside, no scripts."""
    style = resources.files("lrm_bringup.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body><main>'
        f'{top}<div class="grid">{"".join(cards)}</div></main></body></html>\n'
    )
