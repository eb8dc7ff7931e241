"""The README's picture: AUROC of every model by disease, and what the genome adds, from a demo's results.

python experiments/demo_figure.py demo/results docs/demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import polars as pl

from proband.evaluate.results import headline

matplotlib.use("Agg")
RECORDS, WITH_SCORES, CEILING = "EHR", "EHR+PGS", "oracle"
COLOURS = {"age_sex": "#a9a9a9", "lightgbm": "#6f9bc8", RECORDS: "#e0a458", WITH_SCORES: "#c8553d"}
LABELS = {"age_sex": "age and sex", "lightgbm": "LightGBM on records"}
_STEP = 0.17
"""Height between the dots of a disease, in rows."""


def draw(table: pl.DataFrame, out: Path) -> None:
    """One row per disease, by gain of the genome: AUROC of each model on the left, the gain on the right."""
    from matplotlib import pyplot as plt

    gains = table.filter(model=WITH_SCORES).drop_nulls("auroc_difference").sort("auroc_difference")
    outcomes = gains["outcome"].to_list()
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(10, 0.5 * len(outcomes) + 1.4),
        layout="constrained",
        sharey=True,
        width_ratios=[1.7, 1],
    )
    for place, model in enumerate(COLOURS):
        _dots(left, table.filter(model=model), outcomes, model, _STEP * (place - (len(COLOURS) - 1) / 2))
    ceiling = dict(table.filter(model=CEILING).select("outcome", "auroc").iter_rows())
    for at, name in enumerate(outcomes):
        if ceiling.get(name) is not None:
            label = "oracle: the ceiling" if at == 0 else None
            left.plot([ceiling[name]] * 2, [at - 0.38, at + 0.38], color="#2d2d2d", lw=2, label=label)
    for at, row in enumerate(gains.iter_rows(named=True)):
        ends = [[row["auroc_difference"] - row["auroc_difference_low"]]]
        ends += [[row["auroc_difference_high"] - row["auroc_difference"]]]
        right.errorbar([row["auroc_difference"]], [at], xerr=ends, fmt="o", ms=5, lw=1.4, color="#c8553d")
    cases = dict(gains.select("outcome", "num_cases").iter_rows())
    left.set_yticks(range(len(outcomes)), [f"{name.replace('_', ' ')} ({cases[name]})" for name in outcomes])
    left.set_xlabel(f"AUROC of {table['horizon_years'][0]:g}-year risk (95% bootstrap interval)")
    left.set_ylim(-0.6, len(outcomes) - 0.4)
    left.axvline(0.5, color="#dddddd", lw=1, zorder=0)
    right.axvline(0, color="#888888", lw=1, zorder=0)
    right.set_xlabel("gain: EHR+PGS less EHR")
    for axis in (left, right):
        axis.spines[["top", "right", "left"]].set_visible(False)
    left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    figure.savefig(out, dpi=130)


def _dots(axis: Any, rows: pl.DataFrame, outcomes: list[str], model: str, shift: float) -> None:
    by_outcome = {row["outcome"]: row for row in rows.iter_rows(named=True)}
    shown = [(at, by_outcome[name]) for at, name in enumerate(outcomes) if name in by_outcome]
    shown = [(at, row) for at, row in shown if row["auroc"] is not None and row["auroc_low"] is not None]
    values = [row["auroc"] for _, row in shown]
    ends = [
        [row["auroc"] - row["auroc_low"] for _, row in shown],
        [row["auroc_high"] - row["auroc"] for _, row in shown],
    ]
    heights = [at + shift for at, _ in shown]
    label = LABELS.get(model, model)
    axis.errorbar(values, heights, xerr=ends, fmt="o", ms=4, lw=1, color=COLOURS[model], label=label)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--horizon", type=float, default=10.0, help="Years.")
    parser.add_argument("--least-cases", type=int, default=30, help="Leave out diseases with fewer.")
    options = parser.parse_args()
    table = headline(options.results, options.horizon)
    draw(table.filter(pl.col("num_cases") >= options.least_cases), options.out)


if __name__ == "__main__":
    main()
