"""One section per outcome: figures, metrics, utility and paired differences, shorter horizons folded away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from proband.report import tables
from proband.report.sections.counts import at_risk_and_onsets, shown_counts
from proband.report.sections.found import Found
from proband.report.sections.performance.panels import Figure, acting_rows, outcome_figures, thresholds
from proband.report.sections.performance.utility import utility_table
from proband.report.tables import MOST_ROWS, TextTable, num_adjusted, plain


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
        pairs: The remaining pairs of models; None when there are none, or too many for a page.
        missing: Says that these are too many; else empty.
    """

    title: str
    summary: str
    metrics: TextTable
    calibration: TextTable
    utility: TextTable | None
    differences: TextTable | None
    pairs: TextTable | None
    missing: str


@dataclass(frozen=True)
class OutcomeSection:
    """One outcome: the longest horizon that may be shown in full, the others below it.

    Attributes:
        title: Name of the outcome.
        anchor: Id on the page.
        main: The longest horizon; None when none may be shown.
        figures: ROC, precision-recall, calibration, decision and deciles, those that may be shown.
        caption: What the figures show.
        thresholds: What acting on risks does at some thresholds; None where none may be shown.
        others: Shorter horizons.
        hidden: Why horizons are missing; empty when none is.
        begun: Of a synthetic biobank, how many cases had already begun; empty without truth.
        num_cases: At the longest horizon; 0 when none may be shown.
        too_large: Whether figures were left out for the size of the page.
    """

    title: str
    anchor: str
    main: HorizonSection | None
    figures: list[Figure]
    caption: str
    thresholds: TextTable | None
    others: list[HorizonSection]
    hidden: str
    begun: str
    num_cases: int
    too_large: bool = False


def outcome_sections(found: Found) -> list[OutcomeSection]:
    """One section per outcome, in alphabetical order."""
    return [_outcome(name, place, found) for place, name in enumerate(found.shown)]


def _outcome(name: str, place: int, found: Found) -> OutcomeSection:
    horizons = found.shown[name]
    all_horizons = found.tables["metrics"].filter(outcome=name)["horizon_years"].unique().sort()
    acting = {horizon: acting_rows(found.at(name, horizon), found) for horizon in horizons}
    sections = {horizon: _horizon(name, horizon, found, acting[horizon]) for horizon in horizons}
    drawn, caption = outcome_figures(name, found) if horizons else ([], "")
    return OutcomeSection(
        plain(name),
        f"outcome-{place + 1}",
        sections[horizons[-1]] if horizons else None,
        drawn,
        caption,
        thresholds(name, found, acting[horizons[-1]]) if horizons else None,
        [sections[horizon] for horizon in horizons[:-1]],
        _why_hidden([horizon for horizon in all_horizons if horizon not in horizons], found),
        _begun(found.at(name, horizons[-1])["already_begun"]) if horizons else "",
        found.at(name, horizons[-1])["metrics"]["num_cases"][0] if horizons else 0,
    )


def _begun(rows: pl.DataFrame) -> str:
    """What the truth of a synthetic biobank says of the cases; empty where it says nothing."""
    rows = rows.drop_nulls("share_already_begun")
    if rows.is_empty():
        return ""
    horizon, share = rows["horizon_years"][0], tables.percent(rows["share_already_begun"][0])
    return (
        f"Of the biobank's cases by {in_years(horizon)}, {share} had begun before the prediction time "
        "without being recorded. The oracle knows of them and no record does, so no model of records can "
        "reach its AUROC, itself a little too low: its risks are means over simulated futures."
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


def _horizon(name: str, horizon: float, found: Found, acting: Mapping[str, pl.DataFrame]) -> HorizonSection:
    here = found.at(name, horizon)
    metrics, rules = here["metrics"], found.rules
    first = metrics.row(0, named=True)
    incidence = metrics.filter(metric="cumulative_incidence").row(0, named=True)
    value, low, high = (
        tables.percent(None if share is None else rules.share(share, first["num_subjects"]))
        for share in (incidence["value"], incidence["low"], incidence["high"])
    )
    interval = "" if incidence["low"] is None else f" (95% CI {low} to {high})"
    counted = at_risk_and_onsets(shown_counts(found, name)[horizon])
    summary = f"{counted}; cumulative incidence {value}{interval}, death competing."
    return HorizonSection(
        in_years(horizon),
        summary,
        tables.metric_table(metrics),
        tables.metric_table(metrics, tables.CALIBRATION_COLUMNS),
        utility_table(acting, here, rules),
        *_difference_tables(here["differences"], first["model"], found),
    )


def _difference_tables(
    differences: pl.DataFrame, first: str, found: Found
) -> tuple[TextTable | None, TextTable | None, str]:
    """Against the first model, and all other pairs unless they are too many; None for what is empty."""
    every = found.tables["differences"]
    against, adjusted = pl.col("model_a") == first, num_adjusted(every) > 1
    mine, others = differences.filter(against), differences.filter(~against)
    number = every.filter(pl.col("metric") == "auroc", ~against).height
    missing = ""
    if number > MOST_ROWS:
        missing = (
            f"The {number:,} differences of other pairs of models are too many for a page; they are "
            "differences.parquet."
        )
        others = others.clear()
    shown = [tables.difference_table(part, adjusted) if part.height else None for part in (mine, others)]
    return shown[0], shown[1], missing
