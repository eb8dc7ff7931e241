"""The README's picture: AUROC of every model by disease, from a demo's results.

python experiments/demo_figure.py demo/results docs/demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import polars as pl

from proband.evaluate.results import headline

matplotlib.use("Agg")
COLOURS = {
    "age_sex": "#b8b8b8",
    "pgs_logistic": "#8fa8c8",
    "EHR": "#e0a458",
    "EHR+PGS prefix": "#c8553d",
    "EHR+PGS cross": "#7b3f61",
    "oracle": "#2d2d2d",
}
_STEP = 0.13
"""Height between the dots of a disease, in rows."""
LABELS = {
    "age_sex": "age and sex",
    "pgs_logistic": "PGS + age + sex (logistic)",
    "oracle": "oracle (true hazards)",
}


def draw(table: pl.DataFrame, out: Path) -> None:
    """One row per disease, one dot with its interval per model."""
    from matplotlib import pyplot as plt

    outcomes = table.filter(model="oracle").sort("auroc")["outcome"].to_list()
    figure, axis = plt.subplots(figsize=(8, 0.62 * len(outcomes) + 1.2), layout="constrained")
    for place, (model, colour) in enumerate(COLOURS.items()):
        rows = {row["outcome"]: row for row in table.filter(model=model).iter_rows(named=True)}
        shown = [(at, rows[name]) for at, name in enumerate(outcomes) if name in rows]
        shown = [(at, row) for at, row in shown if row["auroc"] is not None]
        heights = [at + _STEP * (place - (len(COLOURS) - 1) / 2) for at, _ in shown]
        values = [row["auroc"] for _, row in shown]
        spread = [
            [value - row["auroc_low"] for value, (_, row) in zip(values, shown, strict=True)],
            [row["auroc_high"] - value for value, (_, row) in zip(values, shown, strict=True)],
        ]
        axis.errorbar(
            values, heights, xerr=spread, fmt="o", ms=5, lw=1.2, color=colour, label=LABELS.get(model, model)
        )
    names = [
        f"{name.replace('_', ' ')}\n{table.filter(outcome=name)['num_cases'][0]} cases" for name in outcomes
    ]
    axis.set_yticks(range(len(outcomes)), names)
    axis.set_xlabel(f"AUROC of {table['horizon_years'][0]:g}-year risk (95% bootstrap interval)")
    axis.axvline(0.5, color="#dddddd", lw=1, zorder=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    figure.savefig(out, dpi=130)


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
