"""Net benefit as it may be shown: decision curves, and differences from references at stated thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from proband.report.disclosure import Disclosure
from proband.report.figures.panel import percent
from proband.report.tables import TextTable, number

_REFERENCES = {"all": "acting on all", "none": "acting on nobody"}
_VALUES = ("standardised_net_benefit", "low", "high")
_CURVE = dict.fromkeys(("threshold", *_VALUES), pl.Float64)


def decision_points(
    model: str, here: Mapping[str, pl.DataFrame], rules: Disclosure, drawn: Sequence[tuple[int, int]] = ()
) -> pl.DataFrame:
    """A model's decision curve at thresholds that may be shown.

    Args:
        model: Its name.
        here: Tables of one outcome and horizon.
        rules: What may be shown.
        drawn: Cases and others of higher risk than each point and boundary shown elsewhere on the page.

    Returns:
        threshold, standardised_net_benefit and the ends of its interval (null without), thresholds falling.
        With data of people a point is kept only where more than 20 cases and others lie between it and the
        next, and before and after all.
    """
    kept = decision_rows(model, here, rules, drawn)
    grid = here["decision"].filter(~pl.col("threshold").is_in(compared(here)))["threshold"]
    if len(grid):  # a stated threshold beyond it would squeeze the curve into a corner
        kept = kept.filter(pl.col("threshold") <= grid.max())
    if kept.is_empty():
        return pl.DataFrame(schema=_CURVE)
    num_cases = known(here, model)[1]
    cases = pl.Series([num_cases] * kept.height, dtype=pl.Int64)
    values = {name: rules.shares(kept[name], cases) for name in _VALUES}
    return pl.DataFrame({"threshold": kept["threshold"].round(4)} | values)


def decision_rows(
    model: str, here: Mapping[str, pl.DataFrame], rules: Disclosure, drawn: Sequence[tuple[int, int]] = ()
) -> pl.DataFrame:
    """Rows of the decision table that may be shown, unrounded; arguments of :func:`decision_points`."""
    rows = here["decision"].filter(model=model).sort("threshold", descending=True)
    if rows.is_empty():
        return rows
    first = rows["threshold"].is_in(compared(here)).to_list()
    return rules.points(rows, *known(here, model), drawn, first)


def compared(here: Mapping[str, pl.DataFrame]) -> list[float]:
    """Thresholds at which models are compared, rising: multiples of the incidence, and those stated."""
    return here["utility"]["threshold"].unique().sort().to_list()


def known(here: Mapping[str, pl.DataFrame], model: str) -> tuple[int, int]:
    """Subjects whose status a model's curves know, and cases among them."""
    last = here["roc"].filter(model=model).select("num_flagged", "num_flagged_cases").row(-1)
    return int(last[0]), int(last[1])


def everybody(here: Mapping[str, pl.DataFrame], rules: Disclosure) -> pl.DataFrame:
    """Standardised net benefit of acting on all, which follows from incidence and threshold alone.

    Returns:
        threshold and benefit, rising thresholds.
    """
    overall = here["metrics"].filter(metric="cumulative_incidence").row(0, named=True)
    incidence = rules.share(overall["value"], overall["num_subjects"])
    if not incidence:
        return pl.DataFrame(schema={"threshold": pl.Float64, "benefit": pl.Float64})
    thresholds = here["decision"]["threshold"].unique().sort().round(4)
    odds = thresholds / (1 - thresholds)
    benefit = 1 - (1 - incidence) / incidence * odds
    return pl.DataFrame({"threshold": [0.0, *thresholds], "benefit": [1.0, *benefit]})


def utility_table(
    rows: Mapping[str, pl.DataFrame], here: Mapping[str, pl.DataFrame], rules: Disclosure
) -> TextTable | None:
    """Standardised net benefit of each model less that of each reference, a column per threshold.

    Args:
        rows: Model -> rows of the decision table that may be shown; at other thresholds nothing is.
        here: Tables of one outcome and horizon.
        rules: By which differences are rounded.

    Returns:
        None where no threshold may be shown.
    """
    thresholds = compared(here)
    shown = {model: set(mine["threshold"]) for model, mine in rows.items()}
    cells = []
    for (model, reference), part in here["utility"].group_by("model", "reference", maintain_order=True):
        both = shown.get(str(model), set()) & shown.get(str(reference), set(thresholds))
        num_cases = known(here, str(model))[1]
        values = {row["threshold"]: row for row in part.iter_rows(named=True)}
        line = [
            _cell(values[threshold], num_cases, rules) if threshold in both and threshold in values else "–"
            for threshold in thresholds
        ]
        if set(line) != {"–"}:
            cells.append([f"{model} − {_REFERENCES.get(str(reference), reference)}", *line])
    header = ["Standardised net benefit", *(f"at {percent(threshold)}" for threshold in thresholds)]
    return TextTable(header, cells) if cells else None


def _cell(row: Mapping, num_cases: int, rules: Disclosure) -> str:
    value, low, high = (
        None if row[name] is None else rules.share(row[name], num_cases)
        for name in ("difference", "low", "high")
    )
    if low is None or high is None:
        return number(value, sign=True)
    return f"{number(value, sign=True)} ({number(low, sign=True)} to {number(high, sign=True)})"
