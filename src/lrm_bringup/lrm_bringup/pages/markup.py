"""Small pieces of HTML: a page, cards, tables, legends, film strips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources


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
    return strip((uri, f"{(stamp_ns - start_ns) / 1e9:.1f} s", "") for stamp_ns, uri in frames)


def strip(pictures: Iterable[tuple[str, str, str]], even: bool = False) -> str:
    """Pictures side by side, each a (data URI, caption, kind of the caption: good, bad or none); empty without any.

    ``even`` spreads them over the whole width, so that a chart below can have one column per picture.
    """
    figures = "".join(_picture(*picture) for picture in pictures)
    return f'<div class="strip{" even" if even else ""}">{figures}</div>' if figures else ""


def _picture(uri: str, caption: str, kind: str) -> str:
    colour = f' class="{kind}"' if kind else ""
    return f'<figure><img src="{uri}" alt=""><figcaption{colour}>{escape(caption)}</figcaption></figure>'


def episode(title: str, body: str, note: str = "", labels: str = "") -> str:
    """One of several episodes in a card: a line with its name and its ready-made ``labels``, then ``body``."""
    facts = f'<span class="note">{note}</span>' if note else ""
    return f'<div class="episode"><h3>{escape(title)}{labels}</h3>{facts}{body}</div>'


def episodes(shown: Iterable[str], keys: Iterable[tuple[str, str]]) -> str:
    """Episodes in pairs below the keys of their charts; empty without any."""
    boxes = "".join(shown)
    return f'{legend(keys)}<div class="pairs">{boxes}</div>' if boxes else ""


def page(title: str, top: str, cards: Iterable[str]) -> str:
    """A whole page that needs nothing else: style inside, no scripts."""
    style = resources.files("lrm_bringup.pages").joinpath("style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body><main>'
        f'{top}<div class="grid">{"".join(cards)}</div></main></body></html>\n'
    )
