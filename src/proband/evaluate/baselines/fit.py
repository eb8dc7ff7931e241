"""All baselines, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.progress import say
from proband.core.units import DAYS_PER_YEAR
from proband.ehr.outcomes import Task
from proband.evaluate.baselines import age_sex, boosting, pgs_logistic
from proband.evaluate.baselines.dates import further_dates
from proband.evaluate.baselines.record import RecordFeatures
from proband.evaluate.cohort import with_age_and_sex
from proband.evaluate.inputs import Scores, read_subjects


def fit_baselines(
    meds: Path,
    task: Task,
    rows: pl.DataFrame,
    wanted: pl.DataFrame,
    tokens: Path | None,
    scores: Scores | None,
    seed: int,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each baseline's name and RiskTable, age and sex first.

    Args:
        meds: MEDS folder.
        task: The task.
        rows: Its labels with age_years and female, all splits.
        wanted: Rows to predict.
        tokens: Tokens folder; without it there is no gradient boosting.
        scores: Polygenic scores; without them there is no baseline that reads any.
        seed: Seed of folds.

    Raises:
        DataError: No train split, or subjects without tokens.
        ConfigError: LightGBM does not load.
    """
    train, gap = rows.filter(split="train"), task.gap_days / DAYS_PER_YEAR
    if train.is_empty():
        remedy = "pass --no-baselines or MEDS with a train split"
        raise DataError("no train subject for the baselines", where=meds, remedy=remedy)
    yield age_sex.name_of(train), age_sex.age_sex(train, wanted, task.horizons_years, gap)
    if tokens is None:
        say("evaluate: without --tokens the LightGBM baseline is not fitted")
    elif rows.filter(split="tuning").is_empty():
        say("evaluate: without a tuning split the LightGBM baseline is not fitted")
    else:
        examples = fit_rows(meds, task, rows)
        horizons, features = task.horizons_years, RecordFeatures(tokens)
        found = boosting.boosting(boosting.NAME, examples, wanted, horizons, features, gap)
        yield boosting.NAME, found.risks
        if scores is not None:
            features = RecordFeatures(tokens, scores.frame)
            # Scores are dense and slow: only the number of rounds is tuned anew.
            settings, name = [found.setting], boosting.NAME_WITH_SCORES
            found = boosting.boosting(name, examples, wanted, horizons, features, gap, settings)
            yield name, found.risks
    if scores is not None:
        yield (
            pgs_logistic.NAME,
            pgs_logistic.pgs_logistic(train, wanted, task.horizons_years, scores.frame, seed),
        )


def fit_rows(meds: Path, task: Task, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of train and tuning, at the task's dates and further ones, as gradient boosting takes them."""
    own = rows.filter(pl.col("split").is_in(["train", "tuning"]))
    extra = with_age_and_sex(further_dates(meds, task, own), read_subjects(meds))
    return pl.concat(
        [
            part.with_columns(pl.lit(is_extra).alias("is_extra"))
            for part, is_extra in ((own, False), (extra, True))
        ]
    )
