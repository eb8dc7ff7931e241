"""One panel of a figure: axes, and what is drawn between them, as an SVG element."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import TypeAlias

import numpy as np

from proband.core.errors import printable
from proband.report.figures.simplify import simplified

Number: TypeAlias = int | float
WIDTH, HEIGHT = 300.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 10.0, 10.0, 38.0
_STRIP, _STRIP_GAP = 24.0, 4.0
_NICE = (1, 2, 2.5, 5, 10)
_MOST_TICKS = 6
_EPSILON = 1e-9


def percent(value: Number) -> str:
    """A tick in percent, with a digit after the point where it needs one.

    >>> percent(0.1), percent(0.025), percent(0)
    ('10%', '2.5%', '0%')
    """
    return f"{100 * value:.1f}".rstrip("0").rstrip(".") + "%" if value else "0%"


def plain(value: Number) -> str:
    """A tick as it is."""
    return f"{value:g}".replace("-", "−")


def ticks(low: Number, high: Number) -> list[float]:
    """At most seven round numbers from ``low`` to ``high``.

    >>> ticks(0, 0.31), ticks(-0.1, 0.1)
    ([0.0, 0.1, 0.2, 0.3], [-0.1, -0.05, 0.0, 0.05, 0.1])
    """
    width = high - low
    if not width > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(width))
    steps = [nice * power / 10 for nice in _NICE] + [nice * power for nice in _NICE]
    step = next((step for step in steps if width / step < _MOST_TICKS), width)
    first = math.ceil(low / step - _EPSILON)
    last = math.floor(high / step + _EPSILON)
    return [round(number * step, 10) for number in range(first, last + 1)]


class Panel:
    """Axes and marks.

    Args:
        label: What the panel shows, for those who cannot see it.
        x: Low and high end of the horizontal axis.
        y: Of the vertical axis.
        x_label: Title of the horizontal axis.
        y_label: Of the vertical one.
        x_ticks: Text of a tick of the horizontal axis.
        y_ticks: Of the vertical one; one without text has no line.
        warp: What is done to x before it is placed, such as a logarithm.
        strips: Histograms between the horizontal axis and its ticks; see :meth:`strip`.
    """

    def __init__(
        self,
        label: str,
        x: tuple[Number, Number],
        y: tuple[Number, Number],
        x_label: str,
        y_label: str,
        x_ticks: Callable[[Number], str] = plain,
        y_ticks: Callable[[Number], str] = plain,
        warp: Callable[[Number], float] = float,
        strips: int = 0,
    ) -> None:
        self._label, self._x, self._y, self._warp = label, x, y, warp
        self._height = HEIGHT + strips * _STRIP
        self._parts: list[str] = []
        self._axes(x_label, y_label, x_ticks, y_ticks)

    def line(self, x: Sequence[Number], y: Sequence[Number], css: str = "", dashed: bool = False) -> None:
        """A line through points, of no more of them than can be seen."""
        points = self._joined(x, y)
        if len(x) > 1:
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            self._parts.append(f'<path class="line {css}" d="M{points}"{dash}/>')

    def marks(
        self,
        x: Sequence[Number],
        y: Sequence[Number],
        css: str = "",
        names: Sequence[str] = (),
        radius: Number = 2.4,
    ) -> None:
        """Points; ``names`` are shown when pointed at."""
        for place, (a, b) in enumerate(zip(x, y, strict=True)):
            name = f"<title>{_text(names[place])}</title>" if names else ""
            at = f'cx="{self._at_x(a)}" cy="{self._at_y(b)}" r="{radius:g}"'
            self._parts.append(
                f'<circle class="mark {css}" {at}>{name}</circle>'
                if name
                else f'<circle class="mark {css}" {at}/>'
            )

    def intervals(
        self, x: Sequence[Number], low: Sequence[Number], high: Sequence[Number], css: str = ""
    ) -> None:
        """Vertical intervals."""
        for a, b, c in zip(x, low, high, strict=True):
            self._parts.append(
                f'<path class="interval {css}" d="M{self._at_x(a)} {self._at_y(b)}V{self._at_y(c)}"/>'
            )

    def bars(self, left: Sequence[Number], right: Sequence[Number], height: Sequence[Number]) -> None:
        """Bars from 0 up."""
        for a, b, c in zip(left, right, height, strict=True):
            corners = f"M{self._at_x(a)} {self._at_y(0)}V{self._at_y(c)}H{self._at_x(b)}V{self._at_y(0)}Z"
            self._parts.append(f'<path class="bar" d="{corners}"/>')

    def area(self, x: Sequence[Number], y: Sequence[Number], css: str, name: str) -> None:
        """A closed shape; ``name`` is shown when pointed at."""
        points = "L".join(f"{self._at_x(a)} {self._at_y(b)}" for a, b in zip(x, y, strict=True))
        self._parts.append(f'<path class="area {css}" d="M{points}Z"><title>{_text(name)}</title></path>')

    def band(self, x: Sequence[Number], low: Sequence[Number], high: Sequence[Number], css: str = "") -> None:
        """The area between two lines."""
        there, back = self._joined(x, low), self._joined(x[::-1], high[::-1])
        self._parts.append(f'<path class="band {css}" d="M{there}L{back}Z"/>')

    def strip(
        self, place: int, edges: Sequence[Number], heights: Sequence[Number], css: str, name: str
    ) -> None:
        """A histogram below the axis, on its scale.

        Args:
            place: From 0 for the uppermost strip.
            edges: Of the bars, one more than bars.
            heights: 0 to 1, the whole height of the strip.
            css: Of its colour.
            name: Shown when pointed at.
        """
        base = HEIGHT - _BOTTOM + (place + 1) * _STRIP
        tops = (_pixel(base - height * (_STRIP - _STRIP_GAP)) for height in heights)
        steps = "".join(f"V{top}H{self._at_x(edge)}" for top, edge in zip(tops, edges[1:], strict=True))
        d = f"M{self._at_x(edges[0])} {_pixel(base)}{steps}V{_pixel(base)}Z"
        self._parts.append(f'<path class="area {css}" d="{d}"><title>{_text(name)}</title></path>')

    def name(self, y: Number, text: str) -> None:
        """A text at the right end."""
        at = f'x="{WIDTH - _RIGHT:g}" y="{self._at_y(y)}"'
        self._parts.append(f'<text {at} dy="3.5" text-anchor="end">{_text(text)}</text>')

    def guide(self, x: Sequence[Number], y: Sequence[Number]) -> None:
        """A grey line for reference."""
        self.line(x, y, "guide")

    def svg(self) -> str:
        """The element."""
        head = f'<svg role="img" viewBox="0 0 {WIDTH:g} {self._height:g}" aria-label="{_text(self._label)}">'
        return f"{head}{''.join(self._parts)}</svg>"

    def _axes(
        self, x_label: str, y_label: str, x_ticks: Callable[[Number], str], y_ticks: Callable[[Number], str]
    ) -> None:
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        for value in ticks(*self._y):
            if not y_ticks(value):
                continue
            y = self._at_y(value)
            self._parts.append(f'<path class="grid" d="M{_LEFT:g} {y}H{right:g}"/>')
            self._parts.append(
                f'<text x="{_LEFT - 5:g}" y="{y}" dy="3.5" text-anchor="end">{_text(y_ticks(value))}</text>'
            )
        if x_label:
            for value in ticks(*self._x) if self._warp is float else ():
                self.x_tick(value, x_ticks(value))
        self._parts.append(f'<path class="axis" d="M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"/>')
        middle = (_LEFT + right) / 2
        self._parts.append(
            f'<text x="{middle:g}" y="{self._height - 6:g}" text-anchor="middle">{_text(x_label)}</text>'
        )
        across = (_TOP + bottom) / 2
        at = f'x="10" y="{across:g}" transform="rotate(-90 10 {across:g})"'
        self._parts.append(f'<text {at} text-anchor="middle">{_text(y_label)}</text>')

    def x_tick(self, value: Number, text: str) -> None:
        """A text below the horizontal axis."""
        at = f'x="{self._at_x(value)}" y="{self._height - _BOTTOM + 14:g}"'
        self._parts.append(f'<text {at} text-anchor="middle">{_text(text)}</text>')

    def _joined(self, x: Sequence[Number], y: Sequence[Number]) -> str:
        """Coordinates of a line, in pixels."""
        places = np.array([(self._pixels_x(a), self._pixels_y(b)) for a, b in zip(x, y, strict=True)])
        return "L".join(f"{_pixel(a)} {_pixel(b)}" for a, b in simplified(places.reshape(-1, 2)))

    def _at_x(self, value: Number) -> str:
        return _pixel(self._pixels_x(value))

    def _at_y(self, value: Number) -> str:
        return _pixel(self._pixels_y(value))

    def _pixels_x(self, value: Number) -> float:
        low, high = (self._warp(end) for end in self._x)
        share = (self._warp(value) - low) / (high - low or 1)
        return _LEFT + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - _RIGHT)

    def _pixels_y(self, value: Number) -> float:
        low, high = self._y
        share = min(1.0, max(0.0, (value - low) / (high - low or 1)))
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _pixel(value: Number) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    return escape(printable(text))
