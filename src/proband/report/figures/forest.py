"""Rows of a forest plot: a value with its interval per model, on an axis shared by all rows.

Each row is an SVG of its own whose horizontal places are percent, so that it is as wide as its table cell and
is not distorted on a narrow screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from proband.core.errors import printable
from proband.report.figures.panel import Number, ticks

_LANE, _PAD = 7.5, 4.0
_INSET = 2.0


class Estimate(NamedTuple):
    """A value to draw: its interval (None where there is none), CSS class, text, and whether it is filled."""

    value: float
    low: float | None
    high: float | None
    css: str
    text: str
    filled: bool = True


class Axis(NamedTuple):
    """Low and high end of all rows, and where the line for reference is."""

    low: float
    high: float
    reference: float


def axis_of(rows: Sequence[Sequence[Estimate]], reference: Number, least: Number = 0.0) -> Axis:
    """The axis that holds every value and interval; intervals far beyond the values are cut.

    Args:
        rows: Estimates of all rows.
        reference: Value of no effect.
        least: Least half width about the reference.
    """
    ends = [reference - least, reference + least]
    for estimates in rows:
        for one in estimates:
            ends += [one.value, *(end for end in (one.low, one.high) if end is not None)]
    low, high = min(ends), max(ends)
    margin = 0.02 * (high - low)
    return Axis(low - margin, high + margin, reference)


def row_svg(estimates: Sequence[Estimate], axis: Axis, label: str) -> str:
    """One row.

    Args:
        estimates: Top to bottom.
        axis: Of all rows.
        label: What the row is of; the values follow in words, for those who cannot see it.
    """
    height = 2 * _PAD + _LANE * max(1, len(estimates))
    description = escape(printable(f"{label}: " + "; ".join(one.text for one in estimates)))
    parts = [f'<svg class="row" role="img" width="100%" height="{height:g}" aria-label="{description}">']
    reference = _percent(axis.reference, axis)
    parts.append(f'<line class="reference" x1="{reference}" x2="{reference}" y1="0" y2="{height:g}"/>')
    for place, one in enumerate(estimates):
        parts.append(_estimate(one, axis, _PAD + _LANE * (place + 0.5)))
    return "".join([*parts, "</svg>"])


def scale_svg(axis: Axis, signed: bool = False) -> str:
    """The numbers of the axis."""
    parts = ['<svg class="row" aria-hidden="true" width="100%" height="16">']
    for value in ticks(axis.low, axis.high):
        text = f"{value:+g}" if signed and value else f"{value:g}"
        parts.append(
            f'<text x="{_percent(value, axis)}" y="12" text-anchor="middle">{text.replace("-", "−")}</text>'
        )
    return "".join([*parts, "</svg>"])


def _estimate(one: Estimate, axis: Axis, y: Number) -> str:
    at = f'cx="{_percent(one.value, axis)}" cy="{y:g}" r="2.9"'
    parts = [f'<g class="{one.css}"><title>{escape(printable(one.text))}</title>']
    if one.low is not None and one.high is not None:
        ends = f'x1="{_percent(one.low, axis)}" x2="{_percent(one.high, axis)}"'
        parts.append(f'<line class="whisker" {ends} y1="{y:g}" y2="{y:g}"/>')
    parts.append(f'<circle class="{"mark" if one.filled else "mark open"}" {at}/></g>')
    return "".join(parts)


def _percent(value: Number, axis: Axis) -> str:
    share = min(1.0, max(0.0, (value - axis.low) / (axis.high - axis.low or 1)))
    return f"{_INSET + (100 - 2 * _INSET) * share:.1f}%"
