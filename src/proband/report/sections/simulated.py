"""Simulated futures on the page: are they like real ones, and do they copy the subjects trained on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from proband.core.files.manifest import open_output
from proband.core.statistics import suppress
from proband.core.statistics.intervals import NORMAL_975
from proband.realism.compare import REALISM, summarise
from proband.realism.memorisation import MEMORISATION, NEARNESS
from proband.report.figures.simulated import nearness_figures, realism_figures
from proband.report.sections.performance.panels import Figure
from proband.report.tables import TextTable, number, p_value, percent

_MOST_DIFFERENCES = 10
_TITLES = {
    "rate": "Events, measurements and deaths per person-year",
    "prevalence": "Share of futures with a code",
    "pair": "Share of futures with two codes",
    "gap": "Time between events",
    "age_rate": "Rate of a code by age",
}
_MEASURES = {
    "longest_run": "Longest copied run of codes",
    "distance": "Distance to the nearest train subject",
}
_SHARES = ("prevalence", "pair")
_MANY = 1000


@dataclass(frozen=True)
class SimulatedSection:
    """Simulated futures against real ones.

    Attributes:
        summary: How many futures of how many subjects.
        verdict: A row per kind of number.
        figures: Shares of codes and of pairs, gaps, rates by age.
        caption: What its first panel's points tell together.
        rates: Rates per person-year.
        differences: Codes whose shares differ most.
        copies: A row per measure of nearness.
        copies_figures: Nearness to train; empty where too few were compared.
    """

    summary: str
    verdict: TextTable
    figures: list[Figure]
    caption: str
    rates: TextTable
    differences: TextTable
    copies: TextTable
    copies_figures: list[Figure]


def simulated_section(folder: Path) -> SimulatedSection:
    """The section of a folder of ``proband realism``.

    Raises:
        DataError: The folder is another stage's, unfinished or damaged.
    """
    manifest = open_output(folder, "realism")
    found = REALISM.read(folder / "realism.parquet")
    copies = MEMORISATION.read(folder / "memorisation.parquet")
    shown = may_show(found)
    prevalence = shown.filter(statistic="prevalence")
    return SimulatedSection(
        _summary(manifest.get("counts", {})),
        _verdict(summarise(found)),
        [Figure(*panel) for panel in realism_figures(shown)],
        _caption(prevalence),
        _values(shown.filter(statistic="rate"), "Per person-year", 3),
        _values(_most_different(prevalence), "Code", 3),
        _copies(copies),
        _nearness(NEARNESS.read(folder / "nearness.parquet")),
    )


def _nearness(found: pl.DataFrame) -> list[Figure]:
    bins = {
        str(measure): suppress.merge_bins(mine, ["num_real", "num_simulated"])
        for (measure,), mine in found.group_by("measure", maintain_order=True)
    }
    return [Figure(*panel) for panel in nearness_figures(bins)]


def may_show(found: pl.DataFrame) -> pl.DataFrame:
    """The rows of which no count of 1 to 20 follows: of subjects who had it, and for shares who had it not.

    A pair of codes is left out, too, where so few have one of them without the other, or neither. Simulated
    counts are held back alike, since futures are drawn from people's histories. Shares are rounded by
    :func:`proband.core.statistics.suppress.share`, rates to thousandths.
    """
    few = pl.lit(False)
    for name in ("num_real", "num_simulated"):
        without = pl.col("num_subjects") - pl.col(name)
        few |= pl.col(name).is_between(1, suppress.LEAST - 1)
        few |= pl.col("statistic").is_in(_SHARES) & without.is_between(1, suppress.LEAST - 1)
    kept = found.filter(~few & ~_few_beside_a_pair(found))
    subjects = pl.when(pl.col("statistic").is_in(_SHARES)).then("num_subjects").otherwise(_MANY)
    numbers = kept.select(subjects).to_series()
    return kept.with_columns(suppress.shares(kept[name], numbers) for name in ("real", "simulated"))


def _few_beside_a_pair(found: pl.DataFrame) -> pl.Series:
    """Whether 1 to 20 have just one code of a pair, or neither, on either side; False of other rows.

    A pair without the shares of both its codes is compared with nothing.
    """
    sides = ("num_real", "num_simulated")
    alone = found.filter(statistic="prevalence")
    rows = found
    for code in ("item", "other"):
        one = alone.select(
            pl.col("item").alias(code), *(pl.col(side).alias(f"{side} {code}") for side in sides)
        )
        rows = rows.join(one, on=code, how="left", maintain_order="left")
    few = pl.lit(False)
    for side in sides:
        first, second, both = pl.col(f"{side} item"), pl.col(f"{side} other"), pl.col(side)
        for rest in (first - both, second - both, pl.col("num_subjects") - first - second + both):
            few |= rest.is_between(1, suppress.LEAST - 1).fill_null(False)
    return rows.select((few & (pl.col("statistic") == "pair")).alias("few")).to_series()


def _summary(counts: Mapping[str, Any]) -> str:
    cut = counts.get("num_cut_short", 0) / max(1, counts.get("num_trajectories", 0))
    return (
        f"{suppress.count(counts.get('num_trajectories'))} simulated futures of "
        f"{suppress.count(counts.get('num_predictions'))} predictions for "
        f"{suppress.count(counts.get('num_subjects'))} subjects, beside what really followed. Each simulated "
        f"future is cut where its subject left. {percent(cut)} had ended before at their budget of events."
    )


def _verdict(summary: pl.DataFrame) -> TextTable:
    header = [
        "Compared",
        "Numbers",
        "Beyond 1.96 standard errors",
        "Largest, in standard errors",
        "p, adjusted",
    ]
    rows = [
        [
            _TITLES.get(row["statistic"], row["statistic"]),
            f"{row['num_judged']:,}",
            percent(row["share_beyond"]),
            number(row["largest_z"], 1),
            p_value(row["adjusted_p"]),
        ]
        for row in summary.iter_rows(named=True)
    ]
    return TextTable(header, rows)


def _caption(prevalence: pl.DataFrame) -> str:
    both = prevalence.select("real", "simulated").drop_nulls()
    if both["real"].n_unique() < 2 or both["simulated"].n_unique() < 2:
        return ""
    correlation = np.corrcoef(both["real"].to_numpy(), both["simulated"].to_numpy())[0, 1]
    return f"Correlation of the shares of {both.height:,} codes: {number(float(correlation), 3)}."


def _most_different(prevalence: pl.DataFrame) -> pl.DataFrame:
    size = (pl.col("simulated") - pl.col("real")).abs()
    return prevalence.sort(size, descending=True, nulls_last=True).head(_MOST_DIFFERENCES)


def _values(rows: pl.DataFrame, title: str, digits: int) -> TextTable:
    """Both sides, and their difference with its 95% interval."""
    cells = []
    for row in rows.iter_rows(named=True):
        values = [number(row[name], digits) for name in ("real", "simulated")]
        cells.append([row["item"], *values, _difference(row, digits), number(row["z"], 1, sign=True)])
    return TextTable([title, "Real", "Simulated", "Difference (95% CI)", "z"], cells)


def _difference(row: Mapping[str, Any], digits: int) -> str:
    if row["real"] is None or row["simulated"] is None:
        return "–"
    middle, half = row["simulated"] - row["real"], NORMAL_975 * row["standard_error"]
    low, high = (number(end, digits, sign=True) for end in (middle - half, middle + half))
    return f"{number(middle, digits, sign=True)} ({low} to {high})"


def _copies(rows: pl.DataFrame) -> TextTable:
    header = ["Measure", "Futures compared", "Simulated nearer (95% CI)", "Simulated beyond the real 99%"]
    cells = []
    for row in rows.iter_rows(named=True):
        number_of, beyond = row["num_points"], row["num_simulated_beyond"]
        title = _MEASURES.get(row["measure"], row["measure"])
        far = _hidden(beyond, number_of) or percent(suppress.share(beyond / number_of, number_of))
        cells.append([title, suppress.count(number_of), _nearer(row), far])
    return TextTable(header, cells)


def _nearer(row: Mapping[str, Any]) -> str:
    """The share of simulated futures that are nearer, with its interval, as it may be shown."""
    if not suppress.may_show(row["num_subjects"]):
        return "–"
    number_of, share, half = row["num_points"], row["share_nearer"], NORMAL_975 * row["standard_error"]
    ends = (share, max(0.0, share - half), min(1.0, share + half))
    middle, low, high = (number(suppress.share(end, number_of)) for end in ends)
    return _hidden(round(share * number_of, 1), number_of) or f"{middle} ({low}–{high})"


def _hidden(some: float, number_of: int) -> str:
    """What stands in the place of a share of which 1 to 20 follow, on its side or the other; else empty."""
    if 0 < some < suppress.LEAST:
        return suppress.HIDDEN
    return suppress.WITHHELD if 0 < number_of - some < suppress.LEAST else ""
