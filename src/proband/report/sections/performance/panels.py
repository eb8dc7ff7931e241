"""The figures of one outcome at its longest horizon shown: what of the curves and groups is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.core.statistics.suppress import boundaries
from proband.report.figures import curves as figures
from proband.report.figures.calibration import Calibration, calibration_panel
from proband.report.figures.distribution import distribution_panel
from proband.report.sections.found import Found
from proband.report.sections.performance.distribution import risk_bins
from proband.report.sections.performance.thresholds import threshold_table
from proband.report.sections.performance.utility import decision_points, decision_rows, everybody, known
from proband.report.tables import TextTable, plain

LEAST_BENEFIT = -0.1
"""Lowest standardised net benefit drawn: acting on all falls without end as the threshold rises."""


@dataclass(frozen=True)
class Figure:
    """One panel with its title."""

    title: str
    svg: str


def outcome_figures(name: str, found: Found) -> tuple[list[Figure], str]:
    """All panels of an outcome that may be shown, and what the deciles are of."""
    title, here, rules = plain(name), found.at(name, found.main[name]), found.rules
    overall = here["metrics"].filter(metric="cumulative_incidence").row(0, named=True)
    incidence = rules.share(overall["value"], overall["num_subjects"])
    models = judged(here, found.models)
    groups = calibration_groups(here, found, models)
    safe = {model: _safe_curves(model, here, found) for model in models}
    roc, pr = ({model: curves[place] for model, curves in safe.items()} for place in (0, 1))
    deciles, score, caption = chosen_deciles(here, found)
    predicted = decile_risks(here, deciles, found, found.own)
    panels = [
        Figure("ROC", figures.roc_panel(title, roc)),
        Figure("Precision and recall", figures.precision_panel(title, pr, incidence)),
        Figure("Calibration", calibration_panel(title, calibrations(here, found, groups))),
        Figure("Predicted risk", distribution_figure(title, roc, here, found)),
        Figure("Decision curve", decision_figure(title, here, found, models)),
        Figure("Risk by PGS decile", figures.decile_panel(title, deciles, score, predicted)),
    ]
    return [panel for panel in panels if panel.svg], caption


def judged(here: Mapping[str, pl.DataFrame], models: Sequence[str]) -> list[str]:
    """Those of the models that an outcome was judged by: one without risks of it has no curve."""
    with_curve = set(here["roc"]["model"])
    return [model for model in models if model in with_curve]


def calibration_groups(
    here: Mapping[str, pl.DataFrame], found: Found, models: list[str]
) -> dict[str, tuple[pl.DataFrame, str]]:
    """Model -> its calibration groups that may be shown, and its CSS class."""
    rows = here["calibration"]
    return {
        model: (found.rules.groups(rows.filter(model=model), ["predicted"]), found.css(model))
        for model in models
    }


def calibrations(
    here: Mapping[str, pl.DataFrame], found: Found, groups: Mapping[str, tuple[pl.DataFrame, str]]
) -> dict[str, Calibration]:
    """Model -> what is drawn of its calibration: of models not given the curve alone, if there is one.

    Args:
        here: Tables of one outcome and horizon.
        found: Results and rules.
        groups: Of :func:`calibration_groups`.
    """
    bins, whole = here["risk_histogram"], found.own or found.models
    drawn = {}
    for model, (mine, css) in groups.items():
        curve = _smoothed(model, here, found)
        bars = found.rules.bars(bins.filter(model=model))
        if model not in whole:
            mine, bars = mine.clear() if curve.height else mine, bars.clear()
            curve = curve.with_columns(pl.lit(None, pl.Float64).alias(end) for end in ("low", "high"))
        drawn[model] = Calibration(css, _with_columns(mine), curve, bars)
    return drawn


def _smoothed(model: str, here: Mapping[str, pl.DataFrame], found: Found) -> pl.DataFrame:
    """A model's calibration curve that may be drawn."""
    return found.rules.smoothed(here["calibration_curve"].filter(model=model))


def _bounds(model: str, here: Mapping[str, pl.DataFrame], found: Found) -> list[tuple[int, int]]:
    """Cases and others above each boundary between those groups of a model that are drawn."""
    if model not in (found.own or found.models) and _smoothed(model, here, found).height:
        return []
    return boundaries(calibration_groups(here, found, [model])[model][0])


def _with_columns(groups: pl.DataFrame) -> pl.DataFrame:
    """Groups with their columns, even where none may be shown."""
    names = ("predicted", "observed", "low", "high")
    return groups if groups.columns else pl.DataFrame(schema=dict.fromkeys(names, pl.Float64))


def distribution_figure(
    title: str, roc: Mapping[str, figures.Curve], here: Mapping[str, pl.DataFrame], found: Found
) -> str:
    """Predicted risk of cases and others by the models given, between the points of their ROC curves.

    Empty where none has points enough.
    """
    models = judged(here, found.own or found.models)
    bins = {model: risk_bins(roc[model].points, found.rules) for model in models}
    drawn = {model: (frame, found.css(model)) for model, frame in bins.items() if frame.height}
    return distribution_panel(title, drawn)


def decision_figure(title: str, here: Mapping[str, pl.DataFrame], found: Found, models: list[str]) -> str:
    """Decision curves of one outcome and horizon; empty where none may be shown.

    Between their points and the boundaries of the calibration groups lie none or more than 20 cases, and none
    or more than 20 others. Models given have a pointwise 95% band.
    """
    points, whole = {}, found.own or found.models
    for model in models:
        curve = decision_points(model, here, found.rules, _bounds(model, here, found))
        if model not in whole:
            curve = curve.with_columns(pl.lit(None, pl.Float64).alias(end) for end in ("low", "high"))
        points[model] = (curve, found.css(model))
    return figures.decision_panel(title, points, everybody(here, found.rules), LEAST_BENEFIT)


def thresholds(name: str, found: Found, rows: Mapping[str, pl.DataFrame]) -> TextTable | None:
    """What acting on risks does at the thresholds of the decision curve, at an outcome's main horizon.

    Args:
        name: Of the outcome.
        found: The results.
        rows: As of :func:`acting_rows`, at that horizon.
    """
    here = found.at(name, found.main[name])
    incidence = here["metrics"].filter(metric="cumulative_incidence")["value"][0]
    stated = found.settings.get("thresholds", ())
    return threshold_table(rows, here, incidence, found.rules, stated)


def acting_rows(here: Mapping[str, pl.DataFrame], found: Found) -> dict[str, pl.DataFrame]:
    """Model -> rows of its decision table that may be shown beside its calibration groups."""
    return {
        model: decision_rows(model, here, found.rules, _bounds(model, here, found))
        for model in judged(here, found.models)
    }


def _safe_curves(model: str, here: Mapping[str, pl.DataFrame], found: Found) -> list[figures.Curve]:
    """ROC and precision-recall points that may be drawn, their coordinates rounded."""
    auroc = here["metrics"].filter(metric="auroc", model=model)["value"][0]
    num_subjects, num_cases = known(here, model)
    safe = []
    for kept in curve_rows(model, here, found):
        totals = {
            "sensitivity": pl.Series([num_cases] * kept.height, dtype=pl.Int64),
            "false_positive_rate": pl.Series([num_subjects - num_cases] * kept.height, dtype=pl.Int64),
            "precision": kept["num_flagged"],
        }
        rounded = [found.rules.shares(kept[name], totals[name]) for name in totals if name in kept.columns]
        safe.append(figures.Curve(kept.with_columns(rounded), auroc, found.css(model)))
    return safe


def curve_rows(
    model: str, here: Mapping[str, pl.DataFrame], found: Found
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of a model's ROC and of its precision-recall curve that may be drawn, unrounded.

    With data of people both go through the rows of the decision table that are shown: a point near to one
    would tell of the few between them. What they hold besides is as far from these as these from each other.

    Args:
        model: Its name.
        here: Tables of one outcome and horizon.
        found: Results and rules.
    """
    roc, pr = (here[kind].filter(model=model) for kind in ("roc", "pr"))
    if found.rules.synthetic:
        return roc, pr
    bounds = _bounds(model, here, found)
    acting = decision_rows(model, here, found.rules, bounds)
    rate, precision = 1 - pl.col("specificity"), pl.col("positive_predictive_value")
    acting = acting.with_columns(rate.alias("false_positive_rate"), precision.alias("precision"))
    roc = _through(roc, acting, here, found, bounds)
    drawn = roc if roc.height >= figures.LEAST_POINTS else acting
    return roc, _through(pr, acting, here, found, [*bounds, *_counts(drawn)])


def _through(
    curve: pl.DataFrame,
    acting: pl.DataFrame,
    here: Mapping[str, pl.DataFrame],
    found: Found,
    drawn: list[tuple[int, int]],
) -> pl.DataFrame:
    """Rows of the decision table and the points of a curve that may be drawn beside, by falling risk."""
    if curve.is_empty():
        return curve
    rows = pl.concat([acting.select(curve.columns), curve]).sort("num_flagged", maintain_order=True)
    first = rows["threshold"].is_in(acting["threshold"].implode()).to_list()
    return found.rules.points(rows, *known(here, curve["model"][0]), drawn, first)


def _counts(rows: pl.DataFrame) -> list[tuple[int, int]]:
    """Cases and others above each row."""
    counts = rows.select("num_flagged_cases", pl.col("num_flagged") - pl.col("num_flagged_cases"))
    return list(counts.iter_rows())


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
