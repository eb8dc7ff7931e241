"""What scenarios do to a cohort, as a table and in words."""

from __future__ import annotations

import polars as pl

from proband.core.schema import SCENARIO_SUMMARY
from proband.core.statistics.intervals import NORMAL_975, STUDENT_975_4

_MOST_NAMED = 3


def summarised(risks: pl.LazyFrame, folds: pl.DataFrame) -> pl.DataFrame:
    """Rows of schema.SCENARIO_SUMMARY.

    Means are over changed predictions; the standard error treats a subject's predictions as one draw. With
    one subject it is that of the sampled paths, and null in closed form. Sums are taken in the order of the
    rows, so that they are the same every time.

    Args:
        risks: schema.SCENARIOS.
        folds: schema.SCENARIO_FOLDS of shards one after another.
    """
    key = ["scenario", "outcome", "horizon_years"]
    difference = pl.col("difference")
    changed = risks.filter("is_changed")
    means = changed.group_by(key, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("num_changed"),
        pl.col("risk_baseline").mean(),
        pl.col("risk").mean(),
        difference.mean(),
        pl.col("subject_id").n_unique().alias("num_subjects"),
        ((pl.col("standard_error") ** 2).sum().sqrt() / pl.len()).alias("of_paths"),
    )
    excess = (
        changed.join(means.select(*key, pl.col("difference").alias("mean")), on=key)
        .group_by(*key, "subject_id")
        .agg((difference - pl.col("mean")).sum().alias("excess"))
        .collect()
        .sort(*key, "subject_id")  # polars' optimizer takes a sum to be the same in every order
    )
    squares = excess.group_by(key, maintain_order=True).agg((pl.col("excess") ** 2).sum().alias("squares"))
    subjects, number = pl.col("num_subjects"), pl.col("num_changed")
    variance = pl.col("squares") * subjects / (subjects - 1) / number**2
    asked = risks.group_by(key).agg(pl.len().cast(pl.Int64).alias("num_predictions"))
    frame = (
        asked.join(means, on=key)
        .join(_errors_of_fit(folds).lazy(), on=key, how="left")
        .join(squares.lazy(), on=key)
        .with_columns(
            pl.when(subjects > 1)
            .then(variance.sqrt())
            .when(pl.col("of_paths") > 0)
            .then("of_paths")
            .alias("standard_error"),
            (pl.col("spread") / number).alias("fit_error"),
        )
        .sort(key)
        .collect()
    )
    return frame.select(*SCENARIO_SUMMARY.columns)


def _errors_of_fit(folds: pl.DataFrame) -> pl.DataFrame:
    """Jackknife error of the sum of differences, ``spread``, as of ``forecast.estimators.risks``."""
    key = ["scenario", "outcome", "horizon_years"]
    sums = folds.group_by([*key, "fold"], maintain_order=True).agg(pl.col("difference").sum())
    number = pl.len()
    return sums.group_by(key, maintain_order=True).agg(
        (pl.col("difference").var(ddof=0) * (number - 1)).sqrt().alias("spread")
    )


def in_words(summary: pl.DataFrame, scenario: str, num_changed: int, num_predictions: int) -> str:
    """One line: whom a scenario changes, and the outcomes that it moves most at the last horizon."""
    rows = summary.filter(scenario=scenario)
    last = max(rows["horizon_years"], default=0.0)
    rows = rows.filter(horizon_years=last)
    half_width = pl.sum_horizontal(
        (NORMAL_975 * pl.col("standard_error").fill_null(0)) ** 2,
        (STUDENT_975_4 * pl.col("fit_error").fill_null(0)) ** 2,
    ).sqrt()
    moved = rows.filter(pl.col("difference").abs() > half_width)
    moved = moved.sort(pl.col("difference").abs(), descending=True)
    named = [
        f"{row['outcome']} {row['difference']:+.2%}"
        + _errors_in_words(row["standard_error"], row["fit_error"])
        for row in moved.head(_MOST_NAMED).iter_rows(named=True)
    ]
    more = f" and {moved.height - len(named)} more" if moved.height > len(named) else ""
    what = f"by {last:g} years {', '.join(named)}{more}" if named else "no outcome moves"
    return f"scenario {scenario} changes {num_changed:,} of {num_predictions:,} predictions: {what}"


def _errors_in_words(over_subjects: float | None, of_fit: float | None) -> str:
    """Both errors in brackets, those that are known.

    >>> _errors_in_words(0.001, 0.002), _errors_in_words(None, None)
    (' (SE 0.10%, of the fit 0.20%)', '')
    """
    found = [] if over_subjects is None else [f"SE {over_subjects:.2%}"]
    if of_fit is not None:
        found.append(f"{'' if found else 'error '}of the fit {of_fit:.2%}")
    return f" ({', '.join(found)})" if found else ""


def plausibility_in_words(plausibility: pl.DataFrame, scenario: str, least: float) -> tuple[str, bool]:
    """One line about how far out the changed histories lie, and whether they are implausible."""
    shares = plausibility.filter(scenario=scenario).select("share_beyond_baseline", "share_beyond").median()
    before, after = shares.row(0)
    line = (
        f"scenario {scenario}: half of the changed histories lie as far out as {after:.1%} of train "
        f"histories or farther (unchanged: {before:.1%})"
    )
    return line, after < least
