"""One person with and without a scenario: the record as a timeline, and the risks of outcomes over time.

    proband forecast MODEL TOKENS RISK --task TASK --genome GENOME --scenario FILE --subjects ONE.txt
    python experiments/twin_figure.py RISK TOKENS OUT.png --outcome coronary_artery_disease hypertension

The task file names a horizon for every year: ``horizons_years: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]``. With a
sampled estimator bands are 1.96 Monte-Carlo standard errors: of the risk as it is, and of the difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl

from proband.core.schema import RISK, SCENARIOS
from proband.core.units import MINUTES_PER_YEAR
from proband.tokens.dataset import TokenStore

matplotlib.use("Agg")
SURE = 1.96
AS_IT_IS = "#444444"
KINDS = ("SNOMED", "RxNorm", "LOINC", "other")
COLOURS = ("#00467f", "#c8651b", "#2f7d4f", "#8a4a94")


def draw_timeline(axis: Any, store: TokenStore, row: int, start: float) -> None:
    """Events of a record by kind, in years before the prediction."""
    tokens, minutes = store.history(row, round(start * MINUTES_PER_YEAR))
    codes = np.array(store.vocabulary.recorded_codes())[tokens]
    years = minutes / MINUTES_PER_YEAR - start
    named = [code.partition("//")[0] for code in codes]
    place = np.array([KINDS.index(name) if name in KINDS else len(KINDS) - 1 for name in named])
    axis.plot(years[1:], place[1:], "|", color=AS_IT_IS, ms=9, alpha=0.7)
    axis.set_yticks(range(len(KINDS)), ["diagnoses", "drugs", "measurements", "other"])
    axis.set_xlim(max(-15.0, float(years[1:].min(initial=-1.0))), 0)
    axis.set_xlabel("years before the prediction")


def draw_risks(axis: Any, risk: pl.DataFrame, scenarios: pl.DataFrame, outcome: str) -> None:
    """Risk by horizon as the person is and in each scenario."""
    own = risk.filter(outcome=outcome).sort("horizon_years")
    years = np.array([0.0, *own["horizon_years"]])
    base, error = (np.array([0.0, *own[name]]) for name in ("risk", "standard_error"))
    axis.plot(years, base, color=AS_IT_IS, label="as it is")
    axis.fill_between(years, base - SURE * error, base + SURE * error, color=AS_IT_IS, alpha=0.15, lw=0)
    table = scenarios.filter(outcome=outcome).sort("scenario", "horizon_years")
    for colour, (name,) in zip(
        COLOURS, table.select("scenario").unique(maintain_order=True).rows(), strict=False
    ):
        one = table.filter(scenario=name)
        changed, apart = (np.array([0.0, *one[column]]) for column in ("risk", "standard_error"))
        axis.plot(years, changed, color=colour, label=name.replace("_", " "))
        axis.fill_between(
            years, changed - SURE * apart, changed + SURE * apart, color=colour, alpha=0.15, lw=0
        )
    axis.set_title(outcome.replace("_", " "), fontsize=10)
    axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    axis.set_ylim(bottom=0)
    axis.set_xlabel("years after the prediction")


def main() -> None:
    """Draw the figure of the first prediction of a forecast with scenarios."""
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("risk", type=Path)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--outcome", nargs="+", required=True)
    given = parser.parse_args()
    risk = RISK.read(given.risk / "risk.parquet")
    first = risk.select("subject_id", "prediction_time").row(0, named=True)
    risk, scenarios = (
        table.filter(**first) for table in (risk, SCENARIOS.read(given.risk / "scenarios.parquet"))
    )
    store = TokenStore(given.tokens)
    row = int(np.flatnonzero(store.subject_ids == first["subject_id"])[0])
    lived = first["prediction_time"] - store.subjects["birth_time"][row]
    start = lived.total_seconds() / 60 / MINUTES_PER_YEAR
    figure = plt.figure(figsize=(9, 4.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.9])
    draw_timeline(above.subplots(), store, row, start)
    axes = below.subplots(1, len(given.outcome), squeeze=False)[0]
    for axis, outcome in zip(axes, given.outcome, strict=True):
        draw_risks(axis, risk, scenarios, outcome)
    below.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(given.out, dpi=120)


if __name__ == "__main__":
    main()
