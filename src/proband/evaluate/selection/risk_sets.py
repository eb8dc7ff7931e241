"""From RiskTables and labels to risk sets: one per outcome and horizon, on the rows all models predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.ehr.meds.kinship import Families, clusters_of
from proband.evaluate.metrics.censoring import CASE, CENSORED, CONTROL
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.selection.landmarks import early_enough, landmarks
from proband.evaluate.tables import FLOW

ROW = ["subject_id", "prediction_time", "outcome"]
AGE_BAND_YEARS = 5
_ESTIMATES = ("risk", "standard_error", "unresolved")


@dataclass(frozen=True)
class Judgement:
    """A risk set and how its rows came about.

    Attributes:
        risk_set: The rows judged.
        moments: subject_id and prediction_time of each row.
        flow: Steps and the rows left after each, as rows of :data:`proband.evaluate.tables.FLOW`.
    """

    risk_set: RiskSet
    moments: pl.DataFrame
    flow: pl.DataFrame


def risk_sets(
    risks: pl.DataFrame,
    extra: pl.DataFrame,
    rows: pl.DataFrame,
    end: datetime | None,
    families: Families | None,
    truth: str = "",
) -> Iterator[Judgement]:
    """One per outcome and horizon of ``risks``.

    Args:
        risks: RiskTables of the models.
        extra: Those of the baselines, which join where ``risks`` has something to compare with.
        rows: Labels of the judged split with age_years and female.
        end: End of the data: of predictions made again and again, those with less than the horizon before it
            are left out.
        families: Relatives, who are resampled together.
        truth: Name of the model whose risks are the true ones; empty for none.
    """
    both = pl.concat([risks.select(*ROW, "horizon_years", "model", *_ESTIMATES), extra.select(
        *ROW, "horizon_years", "model", *_ESTIMATES)])  # fmt: skip
    models = both["model"].unique(maintain_order=True).to_list()
    for outcome, horizon in risks.select("outcome", "horizon_years").unique().sort(pl.all()).rows():
        here = both.filter(outcome=outcome, horizon_years=horizon)
        present = [model for model in models if model in set(here["model"])]
        labelled = rows.filter(outcome=outcome)
        common = _common(labelled, here, present)
        if common.is_empty():
            raise DataError(
                "no common subjects",
                where=f"{outcome}, {horizon:g} years",
                found=", ".join(present),
                remedy="forecast the same subjects with each model",
            )
        kept = common.filter(early_enough(common, horizon, end))
        risk_set = _risk_set(outcome, horizon, kept, present, families, truth)
        moments = kept.select("subject_id", "prediction_time")
        yield Judgement(risk_set, moments, _flow(risk_set, {"labelled": labelled, "predicted": common}, kept))


def _common(labelled: pl.DataFrame, here: pl.DataFrame, models: Sequence[str]) -> pl.DataFrame:
    """Labels that every model predicts, with what each says in columns ``risk MODEL`` and so on."""
    for model in models:
        estimates = [pl.col(name).alias(f"{name} {model}") for name in _ESTIMATES]
        one = here.filter(model=model).select(*ROW, *estimates)
        labelled = labelled.join(one, on=ROW, maintain_order="left")
    return labelled


def _risk_set(
    outcome: str,
    horizon: float,
    rows: pl.DataFrame,
    models: Sequence[str],
    families: Families | None,
    truth: str,
) -> RiskSet:
    subject = rows["subject_id"].to_numpy()
    estimates: dict[str, Any] = {
        name: {model: rows[f"{name} {model}"].to_numpy() for model in models} for name in _ESTIMATES
    }
    return RiskSet(
        outcome,
        horizon,
        subject,
        rows["time_years"].to_numpy(),
        rows["event"].to_numpy(),
        estimates["risk"],
        estimates["standard_error"],
        estimates["unresolved"],
        clusters_of(subject, families),
        landmarks(rows),
        age_sex_strata(rows),
        truth if truth in models else "",
    )


def age_sex_strata(rows: pl.DataFrame) -> np.ndarray:
    """Five-year band of age times two plus sex (1 female); -1 where either is unknown.

    >>> rows = pl.DataFrame({"age_years": [44.9, 45.0, 45.0, None], "female": [1.0, 1.0, 0.0, 1.0]})
    >>> age_sex_strata(rows).tolist()
    [17, 19, 18, -1]
    """
    band = (pl.col("age_years") / AGE_BAND_YEARS).floor() * 2 + pl.col("female")
    return rows.select(band.fill_null(-1).cast(pl.Int64)).to_series().to_numpy()


def _flow(risk_set: RiskSet, before: dict[str, pl.DataFrame], kept: pl.DataFrame) -> pl.DataFrame:
    """Rows of :data:`proband.evaluate.tables.FLOW`."""
    counts = {name: (rows.height, rows["subject_id"].n_unique()) for name, rows in before.items()}
    counts["early enough"] = (kept.height, kept["subject_id"].n_unique())
    for name, code in (("case", CASE), ("control", CONTROL), ("censored", CENSORED)):
        mine = risk_set.status == code
        counts[name] = (int(mine.sum()), risk_set.num_subjects(mine))
    lines = [(risk_set.outcome, risk_set.horizon_years, step, *count) for step, count in counts.items()]
    return pl.DataFrame(lines, schema=dict(FLOW.columns), orient="row")
