"""Learning curves: losses of train and tuning as a fit went on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from proband.report.figures.panel import Number, Panel, plain

_THOUSAND = 1000
_MARGIN = 0.05
_LEAST_HEIGHT = 0.01


class Curve(NamedTuple):
    """One fit: ``train`` and ``tuning`` have at and loss, both also kept; either may be empty."""

    train: pl.DataFrame
    tuning: pl.DataFrame


def thousands(value: Number) -> str:
    """A tick of steps.

    >>> thousands(250), thousands(2500), thousands(10_000)
    ('250', '2.5k', '10k')
    """
    return f"{value / _THOUSAND:g}k" if value >= _THOUSAND else plain(value)


def range_of(curves: Sequence[Curve]) -> tuple[float, float]:
    """Ends of a vertical axis that all of the curves fit in."""
    losses = [loss for curve in curves for frame in curve for loss in frame["loss"]]
    low, high = min(losses), max(losses)
    margin = max(_MARGIN * (high - low), _LEAST_HEIGHT / 2)
    return low - margin, high + margin


def learning_panel(
    label: str, curves: Sequence[Curve], css: str, x_label: str, y_label: str, losses: tuple[Number, Number]
) -> str:
    """Train losses dashed, tuning losses as points on a line; a ring marks the weights that were kept.

    Args:
        label: What it shows, for those who cannot see it.
        curves: Of one model.
        css: Class of the model's colour.
        x_label: Title of the horizontal axis, which begins at 0.
        y_label: Of the vertical one.
        losses: Its ends.
    """
    far = max(at for curve in curves for frame in curve for at in frame["at"])
    panel = Panel(label, (0, far or 1), losses, x_label, y_label, thousands, plain)
    for train, tuning in curves:
        panel.line(train["at"].to_list(), train["loss"].to_list(), css, dashed=True)
        x, y = tuning["at"].to_list(), tuning["loss"].to_list()
        panel.line(x, y, css)
        panel.marks(
            x, y, css, [f"tuning {plain(loss)} at {plain(at)}" for at, loss in zip(x, y, strict=True)]
        )
        kept = tuning.filter("kept")
        names = [
            f"kept: tuning {plain(loss)} at {plain(at)}" for at, loss in kept.select("at", "loss").rows()
        ]
        panel.marks(kept["at"].to_list(), kept["loss"].to_list(), f"{css} ring", names, radius=5.5)
    return panel.svg()


def _short(value: Number) -> str:
    """A tick without the 0 before the point, since ticks of three digits would reach the axis title."""
    return plain(value).replace("0.", ".", 1)


def steps_panel(label: str, gains: Mapping[str, tuple[Sequence[float | None], str]]) -> str:
    """What each step of a fit gains on its first, by model; steps are numbered from 1.

    Args:
        label: What it shows.
        gains: Model -> gain after each step, None where it has no such step, and CSS class of its colour.
    """
    values = [value for steps, _ in gains.values() for value in steps if value is not None]
    number = max(len(steps) for steps, _ in gains.values())
    ends = min(0.0, *values), max(_LEAST_HEIGHT, *values) * (1 + _MARGIN)
    panel = Panel(
        label, (0.5, number + 0.5), ends, "Step of the fit", "Gain, nats per date", lambda _: "", _short
    )
    panel.guide([0.5, number + 0.5], [0, 0])
    for place in range(number):
        panel.x_tick(place + 1, plain(place + 1))
    for model, (steps, css) in gains.items():
        points = [(place, value) for place, value in enumerate(steps, 1) if value is not None]
        x, y = [place for place, _ in points], [value for _, value in points]
        panel.line(x, y, css)
        panel.marks(x, y, css, [f"{model}: {plain(value)} after step {place}" for place, value in points])
    return panel.svg()
