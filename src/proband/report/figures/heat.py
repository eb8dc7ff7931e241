"""A matrix of numbers as coloured cells, an SVG element."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float64

from proband.core.errors import printable
from proband.report.figures.panel import plain

_CELL, _LEFT, _RIGHT, _TOP = 14, 210, 84, 152
_MOST_LETTERS = 30
"""Of a name; what is beyond is cut, since a text in a figure does not wrap."""
_DOWN, _UP = (11, 83, 148), (194, 65, 12)
MOST_CELLS = 600
"""Cells in one figure, so that none could be one for each person."""


def heat_map(
    label: str, values: Float64[np.ndarray, "rows columns"], rows: Sequence[str], columns: Sequence[str]
) -> str:
    """Cells from blue (lowest) over white (0) to orange (highest), on one scale; NaN is left empty.

    Args:
        label: What it shows, for those who cannot see it.
        values: Rounded numbers that may be shown.
        rows: Names of the rows.
        columns: Names of the columns.
    """
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    width, height = _LEFT + _CELL * len(columns) + _RIGHT, _TOP + _CELL * len(rows) + 6
    parts = [f'<svg role="img" class="heat" viewBox="0 0 {width} {height}" aria-label="{_text(label)}">']
    for at, name in enumerate(columns):
        x, y = _LEFT + _CELL * at + 10, _TOP - 6
        parts.append(f'<text x="{x}" y="{y}" transform="rotate(-60 {x} {y})">{_text(_short(name))}</text>')
    for row, name in enumerate(rows):
        y = _TOP + _CELL * row
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 11}" text-anchor="end">{_text(_short(name))}</text>')
        for column, other in enumerate(columns):
            value = float(values[row, column])
            if np.isnan(value):
                continue
            title = _text(f"{name}, {other}: {plain(round(value, 2))}")
            place = f'x="{_LEFT + _CELL * column}" y="{y}" width="{_CELL}" height="{_CELL}"'
            parts.append(f'<rect {place} fill="{_colour(value / most)}"><title>{title}</title></rect>')
    return "".join([*parts, "</svg>"])


def _colour(share: float) -> str:
    """A colour between white (0) and the end of its sign (-1, 1).

    >>> _colour(0.0), _colour(1.0), _colour(-1.0)
    ('#ffffff', '#c2410c', '#0b5394')
    """
    end = _UP if share > 0 else _DOWN
    return "#" + "".join(f"{round(255 + (one - 255) * min(1.0, abs(share))):02x}" for one in end)


def _short(name: str) -> str:
    """A name that fits.

    >>> _short("Inflammatory bowel disease"), len(_short("x" * 99))
    ('Inflammatory bowel disease', 30)
    """
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1].rstrip()}…"


def _text(text: str) -> str:
    return escape(printable(text))
