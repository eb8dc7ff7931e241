"""The size of the page: of too many outcomes and models some figures are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proband.core.running.progress import say
from proband.report.html import render

MOST_MEGABYTES = 6
"""Larger pages are slow on telephones, and mail servers refuse them."""


def render_within(content: Mapping[str, Any], most_megabytes: float = MOST_MEGABYTES) -> str:
    """The page, without the figures of outcomes of fewest cases where it would be larger.

    It says so at these outcomes. Figures of all outcomes side by side, and every table, stay.

    Args:
        content: As :func:`~proband.report.html.render` takes it.
        most_megabytes: Of the page, 10^6 bytes each.
    """
    shown = {**content, "most_megabytes": most_megabytes}
    page = render(shown)
    excess = _num_bytes(page) - most_megabytes * 1e6
    if excess <= 0:
        return page
    outcomes = list(shown["outcomes"])
    for place in sorted(range(len(outcomes)), key=lambda place: outcomes[place].num_cases):
        if excess <= 0:
            break
        excess -= sum(_num_bytes(figure.svg) for figure in outcomes[place].figures)
        outcomes[place] = replace(outcomes[place], figures=[], too_large=bool(outcomes[place].figures))
    page = render({**shown, "outcomes": outcomes})
    number = sum(one.too_large for one in outcomes)
    size = f"{_num_bytes(page) / 1e6:.1f} MB (at most {most_megabytes})"
    left_out = f"figures of {number} of {len(outcomes)} outcomes left out, the page has {size}"
    say(f"report: {left_out}; evaluate fewer outcomes or models to see all")
    return page


def _num_bytes(text: str) -> int:
    return len(text.encode())
