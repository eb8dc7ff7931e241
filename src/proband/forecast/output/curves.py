"""A picture of risk curves, for a first look."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl

_MOST_PANELS = 24
_QUANTILES = (0.05, 0.25, 0.75, 0.95)
_LINE = "#00467f"


def plot_curves(curves: Path, out: Path) -> None:
    """Draw each outcome's risk over time: the mean over predictions, and where 50% and 90% of them lie.

    Args:
        curves: A RiskTable at many horizons; of more than 24 outcomes those with the highest risks are shown.
            Without rows, as where everybody has had the outcome, the picture is empty.
        out: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    table = _summary(curves)
    highest = table.group_by("outcome").agg(pl.col("mean").max()).sort("mean", "outcome", descending=True)
    names = highest["outcome"].head(_MOST_PANELS).to_list()
    columns = max(1, min(4, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(3 * columns, 2.4 * rows), layout="constrained", sharex=True, squeeze=False
    )
    for axis, name in zip(axes.flat, names, strict=False):
        one = table.filter(outcome=name).sort("horizon_years")
        years = [0.0, *one["horizon_years"]]
        for low, high in zip(_QUANTILES[:2], _QUANTILES[:1:-1], strict=True):
            band = [[0.0, *one[f"q{share}"]] for share in (low, high)]
            axis.fill_between(years, *band, color=_LINE, alpha=0.18, lw=0)
        axis.plot(years, [0.0, *one["mean"]], color=_LINE)
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_ylim(bottom=0)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.supxlabel("years after the prediction", fontsize=9)
    figure.suptitle("Risk by the horizon: mean, and where 50% and 90% of predictions lie", fontsize=10)
    figure.savefig(out, dpi=120)
    plt.close(figure)


def _summary(curves: Path) -> pl.DataFrame:
    """Mean and quantiles of the risk by outcome and horizon."""
    quantiles = [pl.col("risk").quantile(share).alias(f"q{share}") for share in _QUANTILES]
    groups = pl.scan_parquet(curves).group_by("outcome", "horizon_years", maintain_order=True)
    return groups.agg(pl.col("risk").mean().alias("mean"), *quantiles).collect()
