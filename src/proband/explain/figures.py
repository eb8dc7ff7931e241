"""Pictures of explanations."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64, Int

from proband.core.errors import printable
from proband.explain.alignment.agreement import Matrices

_MOST_SCORES = 60
_INK, _UP, _DOWN = "#374151", "#c2410c", "#0b5394"
_BANDS = ("#0b5394", "#15803d", "#c2410c", "#7e22ce")


def plot_alignment(effects: pl.DataFrame, out: Path) -> None:
    """Heat maps of learnt effects and of those of Cox models, scores by outcomes, in one clustered order.

    Args:
        effects: A frame of :data:`~proband.explain.tables.EFFECTS`. Of more than 60 scores those of the
            strongest Cox effects are shown; outcomes without a Cox model are left out.
        out: PNG file to write. Without two scores and two outcomes that have Cox models none is written.
    """
    found = Matrices.of(effects)
    fitted = np.flatnonzero(np.isfinite(found.cox).any(axis=0))
    usable = np.flatnonzero(np.isfinite(found.cox[:, fitted]).all(axis=1)) if len(fitted) else fitted
    if len(fitted) < 2 or len(usable) < 2:
        return
    strength = np.abs(found.cox[np.ix_(usable, fitted)]).max(axis=1)
    kept = usable[np.argsort(-strength, kind="stable")[:_MOST_SCORES]]
    cox = found.cox[np.ix_(kept, fitted)]
    rows, columns = clustered(cox), clustered(cox.T)
    scores = effects.unique("score", maintain_order=True)
    names = [name or score for score, name in scores.select("score", "name").iter_rows()]
    panels = {
        "learnt by the model, of the score alone": found.alone[np.ix_(kept, fitted)],
        "Cox model of the score, age and sex": cox,
    }
    _heat_maps(
        {title: matrix[np.ix_(rows, columns)] for title, matrix in panels.items()},
        [names[at] for at in kept[rows]],
        [found.outcomes[at].replace("_", " ") for at in fitted[columns]],
        out,
    )


def clustered(matrix: Float64[np.ndarray, "n width"]) -> Int[np.ndarray, " n"]:
    """Order of the rows in a tree of average linkage, so that like rows stand together."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    return leaves_list(linkage(matrix, method="average", optimal_ordering=True)).astype(np.int64)


def _heat_maps(
    panels: dict[str, np.ndarray], scores: Sequence[str], outcomes: Sequence[str], out: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    limit = float(max(np.abs(matrix).max() for matrix in panels.values())) or 1.0
    height = 1.6 + 0.13 * len(scores)
    figure, axes = plt.subplots(1, len(panels), figsize=(11, height), layout="constrained", sharey=True)
    for axis, (title, matrix) in zip(axes, panels.items(), strict=True):
        picture = axis.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axis.set_title(title, fontsize=9)
        axis.set_xticks(range(len(outcomes)), outcomes, rotation=90, fontsize=6.5)
        axis.tick_params(length=0)
    axes[0].set_yticks(range(len(scores)), [printable(name) for name in scores], fontsize=5.5)
    bar = figure.colorbar(picture, ax=axes, shrink=0.5)
    bar.set_label("log hazard ratio per SD", fontsize=8)
    figure.savefig(out, dpi=100)
    plt.close(figure)


def plot_population(population: pl.DataFrame, out: Path) -> None:
    """Incidence by decile of a score at the last horizon, of the outcomes with most cases.

    Args:
        population: A frame of :data:`~proband.explain.tables.POPULATION`.
        out: PNG file to write; without a decile none is written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    last = population.filter(view="decile").filter(pl.col("horizon_years") == pl.col("horizon_years").max())
    cases = (
        last.group_by("outcome").agg(pl.col("num_cases").sum()).sort("num_cases", "outcome", descending=True)
    )
    if cases.is_empty():
        return
    figure, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained", sharex=True)
    for axis, name in zip(axes.flat, cases["outcome"][: axes.size], strict=False):
        rows = last.filter(outcome=name)
        decile = rows["group"].cast(pl.Int64).to_numpy()
        observed, low, high = (rows[column].to_numpy() for column in ("observed", "low", "high"))
        span = np.abs(np.stack([observed - low, high - observed]))
        axis.errorbar(decile, observed, span, fmt="o", color=_INK, ms=3, lw=0.8, label="observed")
        axis.plot(decile, rows["risk"], color=_UP, label="model")
        axis.plot(decile, rows["risk_without"], color=_DOWN, ls="--", label="model without genome")
        axis.set_title(f"{name.replace('_', ' ')} by {printable(rows['score'][0])}", fontsize=8)
        axis.set_ylim(0, None)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)
    figure.supxlabel("decile of the score in the train split", fontsize=9)
    figure.savefig(out, dpi=100)
    plt.close(figure)


def plot_interaction(interaction: pl.DataFrame, out: Path) -> None:
    """Risk by decile of a score within bands, of the three outcomes with most cases.

    Args:
        interaction: A frame of :data:`~proband.explain.tables.INTERACTION`. Observed incidence is drawn by
            fifth.
        out: PNG file to write; without a row none is written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    cases = interaction.group_by("outcome").agg(pl.col("num_cases").sum()).filter(pl.col("num_cases") > 0)
    names = cases.sort("num_cases", "outcome", descending=True)["outcome"].head(3).to_list()
    if not names:
        return
    size = (13, 0.6 + 2.8 * len(names))
    figure, axes = plt.subplots(
        len(names), 4, figsize=size, layout="constrained", squeeze=False, sharey="row"
    )
    for line, name in zip(axes, names, strict=True):
        own = interaction.filter(outcome=name)
        factors = own["by"].unique(maintain_order=True).to_list()
        for axis, by in zip(line, factors, strict=False):
            _draw_bands(axis, own.filter(by=by))
            axis.set_title(printable(f"{name.replace('_', ' ')}, {by}"), fontsize=8)
            axis.yaxis.set_major_formatter(PercentFormatter(1))
        line[0].set_ylim(0, None)
        for axis in line[len(factors) :]:
            axis.axis("off")
    figure.supxlabel(
        "decile of the score; lines: model, dashed: truth where it is known, points: observed by fifth",
        fontsize=9,
    )
    figure.savefig(out, dpi=100)
    plt.close(figure)


def _draw_bands(axis: Any, rows: pl.DataFrame) -> None:
    for colour, (band,) in zip(_BANDS, rows.select("band").unique(maintain_order=True).rows(), strict=False):
        one = rows.filter(band=band).sort("decile")
        axis.plot(one["decile"], one["risk"], color=colour, lw=1.3, label=printable(band))
        if one["truth"].null_count() == 0:
            axis.plot(one["decile"], one["truth"], color=colour, lw=1, ls="--")
        weight = pl.col("num_predictions")
        fifths = one.group_by((pl.col("decile") + 1) // 2, maintain_order=True).agg(
            (pl.col("observed") * weight).sum() / weight.sum()
        )
        axis.plot(2 * fifths["decile"] - 0.5, fifths["observed"], "o", color=colour, ms=3)
    axis.legend(fontsize=6.5)


def risk_curve(rows: pl.DataFrame, label: str) -> str:
    """The risk along a record as an SVG element, with its largest changes named.

    Args:
        rows: Rows of :data:`~proband.explain.tables.ALONG` of one subject and outcome, by time.
        label: What it shows, for those who cannot see it.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    age, before, after = (rows[name].to_numpy() for name in ("age_years", "risk_before", "risk"))
    with plt.rc_context({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": label}):
        figure, axis = plt.subplots(figsize=(8.5, 2.4), layout="constrained")
        axis.plot(np.repeat(age, 2), np.stack([before, after], axis=1).reshape(-1), color=_INK, lw=1)
        for at in np.argsort(-np.abs(after - before), kind="stable")[:5]:
            colour = _UP if after[at] > before[at] else _DOWN
            axis.plot([age[at]] * 2, [before[at], after[at]], color=colour, lw=2.5)
        axis.set(xlabel="age, years", ylabel="risk", ylim=(0, None))
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.spines[["top", "right"]].set_visible(False)
        return as_svg(figure, label)


def as_svg(figure: Any, label: str) -> str:
    """A figure as an SVG element that scales with the page; closes it."""
    from matplotlib import pyplot as plt

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = printable(buffer.getvalue())
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for side in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {side}="[^"]*"', r"\1", svg, count=1)
    escaped = printable(label).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1).strip()
