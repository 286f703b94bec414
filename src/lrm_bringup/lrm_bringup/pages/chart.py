"""A small chart drawn as SVG text. Colours are CSS variables of the page, so one picture fits light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

Point = tuple[float, float]
_WIDE_PX = 700


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


class Chart:
    """One pair of axes. Data go in data units; (x, y) with NaN breaks a line.

    Args:
        x: (low, high) of the horizontal axis.
        y: (low, high) of the vertical axis.
        width, height: size, CSS pixels; the picture scales to its container.
        label: what it shows, for people who cannot see it.
        margin: left, top, right, bottom, pixels.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        width: int = 640,
        height: int = 200,
        label: str = "",
        margin: tuple[int, int, int, int] = (44, 10, 12, 34),
    ) -> None:
        self.x, self.y = _opened(*x), _opened(*y)
        self.width, self.height, self.label = width, height, label
        self.left, self.top = margin[0], margin[1]
        self.right, self.bottom = width - margin[2], height - margin[3]
        self._parts: list[str] = []

    def px(self, x: float) -> float:
        """Horizontal pixel of a data value, kept inside the frame."""
        share = (x - self.x[0]) / (self.x[1] - self.x[0])
        return self.left + min(1.0, max(0.0, share)) * (self.right - self.left)

    def py(self, y: float) -> float:
        """Vertical pixel of a data value, kept inside the frame."""
        share = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)

    def axes(
        self,
        x_ticks: Iterable[float],
        y_ticks: Iterable[float],
        x_title: str = "",
        y_format: Callable[[float], str] = lambda value: f"{value:g}",
        x_format: Callable[[float], str] = lambda value: f"{value:g}",
    ) -> None:
        """Grid lines, tick labels and the title of the horizontal axis."""
        for value in y_ticks:
            y = _number(self.py(value))
            self._parts.append(f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>')
            self._parts.append(
                f'<text class="tick" x="{self.left - 6}" y="{y}" dy="4" text-anchor="end">{y_format(value)}</text>'
            )
        for value in x_ticks:
            x = _number(self.px(value))
            self._parts.append(
                f'<text class="tick" x="{x}" y="{self.bottom + 15}" text-anchor="middle">{x_format(value)}</text>'
            )
        if x_title:
            middle = (self.left + self.right) / 2
            self._parts.append(
                f'<text class="tick" x="{middle}" y="{self.height - 4}" text-anchor="middle">{escape(x_title)}</text>'
            )

    def line(self, points: Sequence[Point], colour: str, dashed: bool = False, width: float = 2.0) -> None:
        """A line through the points; NaN breaks it."""
        path, pen_down = [], False
        for x, y in points:
            if math.isnan(x) or math.isnan(y):
                pen_down = False
                continue
            path.append(f"{'L' if pen_down else 'M'}{_number(self.px(x))} {_number(self.py(y))}")
            pen_down = True
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self._parts.append(
            f'<path d="{"".join(path)}" fill="none" stroke="var({colour})" stroke-width="{width}"{dash}/>'
        )

    def band(self, points: Sequence[tuple[float, float, float]], colour: str) -> None:
        """A filled band through (x, low, high)."""
        upper = [f"{_number(self.px(x))} {_number(self.py(high))}" for x, _, high in points]
        lower = [f"{_number(self.px(x))} {_number(self.py(low))}" for x, low, _ in reversed(points)]
        if points:
            self._parts.append(f'<path d="M{"L".join(upper + lower)}Z" fill="var({colour})" opacity="0.14"/>')

    def dot(self, x: float, y: float, colour: str, hollow: bool = False, title: str = "", radius: float = 3.5) -> None:
        """A dot, with a text that appears under the pointer."""
        fill = "var(--card)" if hollow else f"var({colour})"
        self._parts.append(
            f'<circle cx="{_number(self.px(x))}" cy="{_number(self.py(y))}" r="{radius}" fill="{fill}" '
            f'stroke="var({colour})" stroke-width="1.5"><title>{escape(title)}</title></circle>'
        )

    def bar(
        self, x0: float, x1: float, y0: float, y1: float, colour: str, title: str = "", opacity: float = 1.0
    ) -> None:
        """A rectangle between two corners."""
        left, right = sorted((self.px(x0), self.px(x1)))
        top, bottom = sorted((self.py(y0), self.py(y1)))
        self._parts.append(
            f'<rect x="{_number(left)}" y="{_number(top)}" width="{_number(max(0.5, right - left))}" '
            f'height="{_number(max(0.5, bottom - top))}" fill="var({colour})" opacity="{opacity}" rx="1.5">'
            f"<title>{escape(title)}</title></rect>"
        )

    def cross(self, x: float, y: float, colour: str, title: str = "") -> None:
        """An x: something that has no value."""
        cx, cy = self.px(x), self.py(y)
        path = f"M{_number(cx - 3.5)} {_number(cy - 3.5)}l7 7m0 -7l-7 7"
        self._parts.append(
            f'<path d="{path}" stroke="var({colour})" stroke-width="1.8"><title>{escape(title)}</title></path>'
        )

    def level(self, y: float, colour: str, text: str = "", below: bool = False) -> None:
        """A dashed horizontal line over the whole width, with a text at its right end, above or below it."""
        if math.isnan(y):
            return
        at = _number(self.py(y))
        self._parts.append(
            f'<line x1="{self.left}" x2="{self.right}" y1="{at}" y2="{at}" stroke="var({colour})" '
            f'stroke-dasharray="2 4" stroke-width="1.2"/>'
        )
        if text:
            self._parts.append(
                f'<text class="tick" x="{self.right - 2}" y="{at}" dy="{12 if below else -4}" text-anchor="end" '
                f'style="fill:var({colour})">{escape(text)}</text>'
            )

    def text(self, x: float, y: float, text: str, colour: str = "--muted", anchor: str = "start") -> None:
        """A small text at a data position."""
        self._parts.append(
            f'<text class="tick" x="{_number(self.px(x))}" y="{_number(self.py(y))}" text-anchor="{anchor}" '
            f'style="fill:var({colour})">{escape(text)}</text>'
        )

    def row_label(self, y: float, text: str) -> None:
        """A text left of the axes."""
        at = _number(self.py(y))
        self._parts.append(
            f'<text class="row" x="{self.left - 8}" y="{at}" dy="4" text-anchor="end">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The picture as an ``<svg>`` element; a wide one scrolls where the window is narrow."""
        label = escape(self.label, quote=True)
        kind = ' class="wide"' if self.width > _WIDE_PX else ""
        drawn = "".join(self._parts)
        svg = f'<svg{kind} viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{label}">{drawn}</svg>'
        return f'<div class="scroll">{svg}</div>' if kind else svg


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that divide [low, high] into about ``count`` parts (1, 2 or 5 times a power of ten)."""
    low, high = _opened(low, high)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _opened(low: float, high: float) -> tuple[float, float]:
    """A range that is never empty."""
    return (low, high) if high > low else (low, low + 1.0)
