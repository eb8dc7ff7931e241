"""Learning curves of the models given: did they learn to the end, and what does each step of the fit add?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from proband.evaluate.panel import learning as fits
from proband.report.figures.learning import Curve, learning_panel, range_of, steps_panel
from proband.report.sections.found import Found
from proband.report.sections.performance.course import STEP_NAMES, sentence, step_name
from proband.report.sections.performance.panels import Figure
from proband.report.tables import TextTable, number

_MOST_TRAIN, _MOST_TUNING, _MOST_ROWS = 30, 60, 8
_DIGITS = 3
_SECONDS_PER_MINUTE = 60
_FITS = {
    fits.NEXT_EVENT: ("next event", "Step", "Nats per event"),
    fits.TRUNK: ("fine-tuned trunk", "Step", "Nats per date"),
    fits.NETWORKS: ("onset networks", "Passes over train dates", "Nats per date"),
}


class Learning(NamedTuple):
    """What the page says of fits.

    Attributes:
        sentences: Model, and what its curves show.
        figures: Next event and fine-tuned trunks, a panel per model and fit.
        steps: What the steps of the onset fit add, all models in one panel; None without any.
        step_names: The steps, numbered.
        networks: Networks of the onset hazards, a panel per model.
        losses: The numbers behind the curves, thinned.
        step_losses: Tuning losses after each step of the onset fit; None without any.
        missing: Which models have no curve; empty if all have one.
    """

    sentences: list[tuple[str, str]]
    figures: list[Figure]
    steps: Figure | None
    step_names: str
    networks: list[Figure]
    losses: TextTable | None
    step_losses: TextTable | None
    missing: str


def learning(found: Found) -> Learning | None:
    """Learning curves that the results have; losses are means over events or dates, and no counts.

    Returns:
        None where no model has one.
    """
    rows = found.tables["learning"].filter(pl.col("model").is_in(found.models))
    if rows.is_empty():
        return None
    rows = rows.with_columns(pl.col("at", "loss").round(_DIGITS))
    steps, order = _steps(rows)
    figures = [one for fit in (fits.NEXT_EVENT, fits.TRUNK) for one in _figures(rows, fit, found)]
    notes = found.manifest.get("notes", {})
    without, ended = notes.get("without_learning_curve", []), notes.get("training_ended_by", {})
    missing = (
        f"None of {', '.join(without)}: the model folder was not found, or had changed." if without else ""
    )
    return Learning(
        [(model, sentence(rows.filter(model=model), ended.get(model, ""))) for model in _models(rows)],
        figures,
        _steps_figure(steps, order, found),
        ", ".join(f"{place} {step_name(name)}" for place, name in enumerate(order, 1)),
        _figures(rows, fits.NETWORKS, found),
        _loss_table(rows),
        _step_table(steps, order),
        missing,
    )


def _models(rows: pl.DataFrame) -> list[str]:
    return rows["model"].unique(maintain_order=True).to_list()


def _figures(rows: pl.DataFrame, fit: str, found: Found) -> list[Figure]:
    """A panel per model, all on one vertical axis."""
    title, x_label, y_label = _FITS[fit]
    here = rows.filter(fit=fit)
    curves = {
        model: [_curve(part) for _, part in here.filter(model=model).group_by("part", maintain_order=True)]
        for model in _models(here)
    }
    ends = range_of([curve for each in curves.values() for curve in each]) if curves else (0, 1)
    return [
        Figure(
            f"{model}: {title}",
            learning_panel(_label(model, title, each), each, found.css(model), x_label, y_label, ends),
        )
        for model, each in curves.items()
    ]


def _curve(rows: pl.DataFrame) -> Curve:
    """Train losses, means of at most 30 stretches of equally many lines of the log, and tuning losses."""
    train, tuning = (rows.filter(split=split).sort("at") for split in (fits.TRAIN, fits.TUNING))
    bins = min(_MOST_TRAIN, train.height)
    stretch = pl.int_range(pl.len()) * bins // pl.len()
    means = train.group_by(stretch.alias("stretch"), maintain_order=True).agg(
        pl.col("at").mean(), pl.col("loss").mean().round(_DIGITS), pl.col("kept").any()
    )
    return Curve(means.drop("stretch"), thinned(tuning, _MOST_TUNING))


def thinned(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """About ``most`` rows evenly spaced, among them the first, the last and those kept."""
    if rows.height <= most:
        return rows
    places = {round(step * (rows.height - 1) / (most - 1)) for step in range(most)}
    return rows.filter(pl.int_range(pl.len()).is_in(sorted(places)) | pl.col("kept"))


def _label(model: str, title: str, curves: Sequence[Curve]) -> str:
    """Alt text: first and last losses, and the lowest of tuning."""
    tuning = pl.concat([curve.tuning for curve in curves])["loss"]
    train = curves[0].train["loss"]
    said = [f"train loss from {number(train[0])} to {number(train[-1])}"] if len(train) else []
    if len(tuning) == 1:
        said.append(f"tuning loss {number(tuning[0])} at the end")
    elif len(tuning):
        lowest = number(tuning.min())  # type: ignore[arg-type]
        said.append(f"tuning loss from {number(tuning[0])} to {number(tuning[-1])}, lowest {lowest}")
    return f"Learning curve of {model}, {title}: {'; '.join(said)}"


def _steps(rows: pl.DataFrame) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Model -> step -> tuning loss, and all steps in order."""
    here = rows.filter(fit=fits.STEPS)
    steps = {
        model: dict(here.filter(model=model).sort("at").select("part", "loss").rows())
        for model in _models(here)
    }
    place = {name: float(number) for number, name in enumerate(STEP_NAMES)}
    for losses in steps.values():
        for before, name in itertools.pairwise(losses):
            place.setdefault(name, place.get(before, 0.0) + 1 / (1 + len(losses)))  # of another version
    names = here["part"].unique(maintain_order=True).to_list()
    return steps, sorted(names, key=lambda name: place.get(name, 0.0))


def _steps_figure(steps: dict[str, dict[str, float]], order: Sequence[str], found: Found) -> Figure | None:
    if len(order) < 2:
        return None
    gains = {}
    for model, losses in steps.items():
        first = next(iter(losses.values()))
        gain = [round(first - losses[name], _DIGITS) if name in losses else None for name in order]
        gains[model] = (gain, found.css(model))
    last = {model: [one for one in gain if one is not None][-1] for model, (gain, _) in gains.items()}
    said = ", ".join(f"{model} {number(value)}" for model, value in last.items())
    label = f"Tuning loss below that of the first step, after each step of the onset fit; at the end: {said}"
    return Figure("Steps of the onset fit", steps_panel(label, gains))


def _step_table(steps: dict[str, dict[str, float]], order: Sequence[str]) -> TextTable | None:
    if not steps:
        return None
    rows = [
        [f"{place} {step_name(name)}", *(number(losses.get(name)) for losses in steps.values())]
        for place, name in enumerate(order, 1)
    ]
    return TextTable(["After step", *steps], rows)


def _loss_table(rows: pl.DataFrame) -> TextTable | None:
    """Tuning losses, with the train loss of the same line of the log, at most about eight of each curve."""
    cells = []
    for (model, fit, part), mine in rows.group_by("model", "fit", "part", maintain_order=True):
        if fit not in _FITS:
            continue
        title = f"{_FITS[str(fit)][0].removesuffix('s')} {part}" if part else _FITS[str(fit)][0]
        train = dict(mine.filter(split=fits.TRAIN).select("at", "loss").rows())
        for row in thinned(mine.filter(split=fits.TUNING).sort("at"), _MOST_ROWS).iter_rows(named=True):
            at = f"{row['at']:.2f}" if fit == fits.NETWORKS else f"{row['at']:,.0f}"
            minutes = "–" if row["seconds"] is None else f"{row['seconds'] / _SECONDS_PER_MINUTE:.1f}"
            losses = [number(train.get(row["at"])), number(row["loss"])]
            cells.append([str(model), title, at, minutes, *losses, "kept" if row["kept"] else ""])
    header = ["Model", "Fit", "Step or pass", "Minutes", "Train loss", "Tuning loss", "Weights"]
    return TextTable(header, cells, 2) if cells else None
