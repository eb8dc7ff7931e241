"""A picture of the match report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from proband.genome.matching.match import REASONS

_COLOURS = ("#0b5394", "#9ca3af", "#6b7280", "#c2410c", "#be185d", "#b45309", "#7e22ce", "#0e7490")
_MOST_SCORES = 25  # bars that are still legible
_SIZE_INCHES = (12.0, 6.0)
_DOTS_PER_INCH = 120
_BINS = np.linspace(0, 1, 41)


def plot_match(match: pl.DataFrame, min_match_rate: float, path: Path) -> None:
    """Draw what became of the rows of the worst matched scores, and how all match rates are spread.

    Args:
        match: Match report, of :data:`proband.core.schema.MATCH`.
        min_match_rate: The bound, marked in the histogram.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no state shared with the caller's

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    bars, histogram = figure.subplots(1, 2, width_ratios=(2, 1))
    worst = match.sort("match_rate", "pgs_id").head(_MOST_SCORES).reverse()
    left = np.zeros(worst.height)
    for (name, words), colour in zip(REASONS.items(), _COLOURS, strict=True):
        share = (worst[f"num_{name}"] / worst["num_rows"]).to_numpy()
        bars.barh(worst["pgs_id"].to_list(), share, left=left, color=colour, label=words)
        left += share
    bars.set_xlabel("share of the score's rows")
    bars.set_title(f"The {worst.height} worst matched of {match.height} scores", loc="left")
    bars.margins(y=0.01)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    histogram.hist(match["match_rate"].to_numpy(), bins=_BINS.tolist(), color=_COLOURS[0])
    histogram.axvline(min_match_rate, color=_COLOURS[3], linestyle="--")
    histogram.set_xlabel("match rate (dashed: least for a score to be kept)")
    histogram.set_ylabel("scores")
    figure.savefig(path, dpi=_DOTS_PER_INCH)
