"""One section per outcome: figures, metrics, utility and paired differences, shorter horizons folded away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.core.suppress import boundaries
from proband.report import tables
from proband.report.figures import curves as figures
from proband.report.sections.found import Found
from proband.report.sections.utility import decision_points, everybody, known, utility_table
from proband.report.tables import TextTable, plain

LEAST_BENEFIT = -0.1
"""Lowest standardised net benefit drawn: acting on all falls without end as the threshold rises."""


@dataclass(frozen=True)
class Figure:
    """One panel with its title."""

    title: str
    svg: str


@dataclass(frozen=True)
class HorizonSection:
    """Results of one outcome by one horizon.

    Attributes:
        title: Such as "10 years".
        summary: Subjects, cases and incidence in a sentence.
        metrics: Discrimination, a row per model.
        calibration: Calibration, a row per model.
        utility: Net benefit beside references; None where no threshold may be shown.
        differences: Every later model minus the first; None with one model.
        pairs: The remaining pairs of models; None when there are none.
    """

    title: str
    summary: str
    metrics: TextTable
    calibration: TextTable
    utility: TextTable | None
    differences: TextTable | None
    pairs: TextTable | None


@dataclass(frozen=True)
class OutcomeSection:
    """One outcome: the longest horizon that may be shown in full, the others below it.

    Attributes:
        title: Name of the outcome.
        anchor: Id on the page.
        main: The longest horizon; None when none may be shown.
        figures: ROC, precision-recall, calibration, decision and deciles, those that may be shown.
        caption: What the figures show.
        others: Shorter horizons.
        hidden: Why horizons are missing; empty when none is.
        begun: Of a synthetic biobank, how many cases had already begun; empty without truth.
    """

    title: str
    anchor: str
    main: HorizonSection | None
    figures: list[Figure]
    caption: str
    others: list[HorizonSection]
    hidden: str
    begun: str


def outcome_sections(found: Found) -> list[OutcomeSection]:
    """One section per outcome, in alphabetical order."""
    return [_outcome(name, place, found) for place, name in enumerate(found.shown)]


def _outcome(name: str, place: int, found: Found) -> OutcomeSection:
    horizons = found.shown[name]
    all_horizons = found.tables["metrics"].filter(outcome=name)["horizon_years"].unique().sort()
    sections = {horizon: _horizon(name, horizon, found) for horizon in horizons}
    drawn, caption = _figures(name, found) if horizons else ([], "")
    return OutcomeSection(
        plain(name),
        f"outcome-{place + 1}",
        sections[horizons[-1]] if horizons else None,
        drawn,
        caption,
        [sections[horizon] for horizon in horizons[:-1]],
        _why_hidden([horizon for horizon in all_horizons if horizon not in horizons], found),
        _begun(found.at(name, horizons[-1])["already_begun"]) if horizons else "",
    )


def _begun(rows: pl.DataFrame) -> str:
    """What the truth of a synthetic biobank says of the cases; empty where it says nothing."""
    rows = rows.drop_nulls("share_already_begun")
    if rows.is_empty():
        return ""
    horizon, share = rows["horizon_years"][0], tables.percent(rows["share_already_begun"][0])
    return (
        f"Of the biobank's cases by {in_years(horizon)}, {share} had begun before the prediction time "
        "without being recorded. The oracle knows of them and no record does: its AUROC is a ceiling that no "
        "model of records can reach."
    )


def in_years(horizon: float) -> str:
    """A horizon in words.

    >>> in_years(1.0), in_years(10.0)
    ('1 year', '10 years')
    """
    return f"{horizon:g} {'year' if horizon == 1 else 'years'}"


def _why_hidden(horizons: list[float], found: Found) -> str:
    if not horizons:
        return ""
    names = ", ".join(f"{horizon:g}" for horizon in horizons)
    few = "Too few cases or too little follow-up to judge a model"
    why = f"{few}." if found.rules.synthetic else f"{few}, or a count of 1 to 20 would follow."
    return f"Not shown: {names} {'year' if horizons == [1.0] else 'years'}. {why}"


def _horizon(name: str, horizon: float, found: Found) -> HorizonSection:
    here = found.at(name, horizon)
    metrics, rules = here["metrics"], found.rules
    first = metrics.row(0, named=True)
    incidence = metrics.filter(metric="cumulative_incidence").row(0, named=True)
    value, low, high = (
        tables.percent(None if share is None else rules.share(share, first["num_subjects"]))
        for share in (incidence["value"], incidence["low"], incidence["high"])
    )
    interval = "" if incidence["low"] is None else f" (95% CI {low} to {high})"
    subjects, cases = rules.count(first["num_subjects"]), rules.count(first["num_cases"])
    summary = (
        f"{subjects} subjects at risk, {cases} onsets seen; cumulative incidence {value}{interval}, "
        "death competing."
    )
    return HorizonSection(
        in_years(horizon),
        summary,
        tables.metric_table(metrics),
        tables.metric_table(metrics, tables.CALIBRATION_COLUMNS),
        utility_table(here, rules),
        *_difference_tables(here["differences"], first["model"]),
    )


def _difference_tables(differences: pl.DataFrame, first: str) -> list[TextTable | None]:
    """Against the first model, and all other pairs; None for what is empty."""
    against = pl.col("model_a") == first
    split = (differences.filter(against), differences.filter(~against))
    return [tables.difference_table(part) if part.height else None for part in split]


def _figures(name: str, found: Found) -> tuple[list[Figure], str]:
    title, here, rules = plain(name), found.at(name, found.main[name]), found.rules
    overall = here["metrics"].filter(metric="cumulative_incidence").row(0, named=True)
    incidence = rules.share(overall["value"], overall["num_subjects"])
    judged = set(here["roc"]["model"])
    models = [model for model in found.models if model in judged]
    groups = calibration_groups(here, found, models)
    safe = {model: _safe_curves(model, here, found, boundaries(groups[model][0])) for model in models}
    roc, pr = ({model: curves[place] for model, curves in safe.items()} for place in (0, 1))
    deciles, score, caption = chosen_deciles(here, found)
    predicted = decile_risks(here, deciles, found, found.own)
    panels = [
        Figure("ROC", figures.roc_panel(title, roc)),
        Figure("Precision and recall", figures.precision_panel(title, pr, incidence)),
        Figure("Calibration", figures.calibration_panel(title, groups)),
        Figure("Decision curve", decision_figure(title, here, found, models)),
        Figure("Risk by PGS decile", figures.decile_panel(title, deciles, score, predicted)),
    ]
    return [panel for panel in panels if panel.svg], caption


def calibration_groups(
    here: Mapping[str, pl.DataFrame], found: Found, models: list[str]
) -> dict[str, tuple[pl.DataFrame, str]]:
    """Model -> its calibration groups that may be shown, and its CSS class."""
    rows = here["calibration"]
    return {
        model: (found.rules.groups(rows.filter(model=model), ["predicted"]), found.css(model))
        for model in models
    }


def decision_figure(title: str, here: Mapping[str, pl.DataFrame], found: Found, models: list[str]) -> str:
    """Decision curves of one outcome and horizon; empty where none may be shown.

    Their points lie as far from the points of the ROC curve and from the boundaries of the calibration groups
    as these from each other.
    """
    groups = calibration_groups(here, found, models)
    points = {}
    for model in models:
        taken = boundaries(groups[model][0])
        roc = _safe_points("roc", model, here, found, taken)["num_flagged"].to_list()
        points[model] = (decision_points(model, here, found.rules, [*taken, *roc]), found.css(model))
    return figures.decision_panel(title, points, everybody(here, found.rules), LEAST_BENEFIT)


def _safe_curves(
    model: str, here: Mapping[str, pl.DataFrame], found: Found, bounds: list[int]
) -> list[figures.Curve]:
    """ROC and precision-recall points that may be drawn, their coordinates rounded."""
    auroc = here["metrics"].filter(metric="auroc", model=model)["value"][0]
    safe = []
    for kind in ("roc", "pr"):
        kept = _safe_points(kind, model, here, found, bounds)
        num_subjects, num_cases = known(here, model)
        totals = {
            "sensitivity": pl.Series([num_cases] * kept.height, dtype=pl.Int64),
            "false_positive_rate": pl.Series([num_subjects - num_cases] * kept.height, dtype=pl.Int64),
            "precision": kept["num_flagged"],
        }
        rounded = [found.rules.shares(kept[name], totals[name]) for name in totals if name in kept.columns]
        safe.append(figures.Curve(kept.with_columns(rounded), auroc, found.css(model)))
    return safe


def _safe_points(
    kind: str, model: str, here: Mapping[str, pl.DataFrame], found: Found, bounds: list[int]
) -> pl.DataFrame:
    """Rows of a model's curve that may be drawn."""
    return found.rules.points(here[kind].filter(model=model), *known(here, model), bounds)


def chosen_deciles(here: Mapping[str, pl.DataFrame], found: Found) -> tuple[pl.DataFrame, str, str]:
    """Merged deciles (empty where fewer than two are left), their score, and why that one."""
    deciles = found.rules.groups(here["deciles"], [])
    if deciles.height < 2:
        return deciles.clear(), "", ""
    score = here["deciles"].row(0, named=True)
    why = "its trait is the outcome" if score["chosen_by"] == "trait" else "most associated in train"
    caption = f"Deciles of {score['pgs_id']} ({score['pgs_name']}), chosen because {why}."
    return deciles, score["pgs_id"], caption


def decile_risks(
    here: Mapping[str, pl.DataFrame], deciles: pl.DataFrame, found: Found, models: list[str]
) -> dict[str, tuple[pl.DataFrame, str]]:
    """Model -> mean predicted risk in the merged deciles, and its CSS class."""
    risks, sizes = here["decile_risks"], here["deciles"].select("decile", "num_subjects")
    result = {}
    for model in models if deciles.height else ():
        mine = risks.filter(model=model).join(sizes, on="decile")
        means = []
        for first, last, total in deciles.select("first", "last", "num_subjects").iter_rows():
            part = mine.filter(pl.col("decile").is_between(first, last))
            if part.height:
                mean = np.average(part["predicted"], weights=part["num_subjects"])
                means.append((first, last, found.rules.share(float(mean), total)))
        schema = {"first": pl.Int64, "last": pl.Int64, "predicted": pl.Float64}
        result[model] = (pl.DataFrame(means, schema=schema, orient="row"), found.css(model))
    return result
