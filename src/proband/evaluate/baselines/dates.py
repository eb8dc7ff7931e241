"""Further dates to fit on: one prediction a subject wastes most of a record of many years."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl

from proband.core.schema import LABELS
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.labels import labels as label_all
from proband.ehr.outcomes import PredictionTimes, Task

SHIFTS_YEARS = (-2, -1, 1, 2)
MOST_SUBJECTS = 50_000
"""With more subjects to fit on, the task's own dates are enough."""


def further_dates(meds: Path, task: Task, fit: pl.DataFrame) -> pl.DataFrame:
    """Labels one and two years before and after the task's own prediction times.

    Only dates from which the longest horizon ends before the data do: later ones could bring early cases but
    no early controls. Washout and blanking gap hold for them too.

    Args:
        meds: MEDS folder.
        task: The task; one that predicts again and again gets no further dates.
        fit: Its labels in the splits fitted on.

    Returns:
        A frame of :data:`proband.core.schema.LABELS` of the same subjects and splits, without the rows' own
        dates.
    """
    shifted = _shifted(task.prediction)
    if shifted is None or fit.is_empty() or fit["subject_id"].n_unique() > MOST_SUBJECTS:
        return LABELS.empty()
    followed = (pl.col("time_years") * MICROSECONDS_PER_YEAR).round().cast(pl.Int64)
    end = fit.select((pl.col("prediction_time") + pl.duration(microseconds=followed)).max()).item()
    latest = end - timedelta(microseconds=max(task.horizons_years) * MICROSECONDS_PER_YEAR)
    moved = task.model_copy(update={"prediction": shifted})
    rows = label_all(meds, moved, fit["split"].unique().to_list(), report=False)
    rows = rows.filter(pl.col("prediction_time") <= latest)
    rows = rows.join(fit, on="subject_id", how="semi")
    return rows.join(fit, on=["subject_id", "prediction_time"], how="anti").select(*LABELS.columns)


def _shifted(kind: PredictionTimes) -> PredictionTimes | None:
    """The same kind of prediction times, moved; None where there is nothing to move."""
    for name in ("years_after_entry", "age_years"):
        own: tuple[float, ...] | None = getattr(kind, name)
        if own is not None:
            moved = sorted({years + shift for years in own for shift in SHIFTS_YEARS if years + shift >= 0})
            return PredictionTimes.model_validate({name: moved})
    if kind.date is not None:
        days = sorted({day + timedelta(days=365.25 * shift) for day in kind.date for shift in SHIFTS_YEARS})
        return PredictionTimes.model_validate({"date": days})
    return None
