"""Predictions beside what happened, as meds-evaluation reads them: a file by model, outcome and horizon.

The schema is PredictionSchema of meds-evaluation 0.0.6 (https://github.com/kamilest/meds-evaluation): that of
MEDS labels and what was predicted. Its evaluation needs both columns of predictions.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import ConfigError
from proband.core.files.tables import Table
from proband.core.schema import TIME
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.selection.risk_sets import Judgement

FOLDER = "meds_evaluation"
THRESHOLD = 0.5
"""Risk above which the outcome is predicted."""
PREDICTIONS = Table(
    "predictions",
    {
        "subject_id": pl.Int64,
        "prediction_time": TIME,
        "boolean_value": pl.Boolean,
        "predicted_boolean_value": pl.Boolean,
        "predicted_boolean_probability": pl.Float64,
    },
    bounds={"predicted_boolean_probability": (0.0, 1.0)},
    unique=("subject_id", "prediction_time"),
)
"""Predictions judged whose outcome by the horizon is known; ``boolean_value`` is whether it came."""


def write_predictions(judgement: Judgement, folder: Path) -> None:
    """Write FOLDER/MODEL/OUTCOME_by_YEARS_years.parquet of each model; the censored are left out.

    Args:
        judgement: One outcome and horizon.
        folder: The results folder.

    Raises:
        ConfigError: Two models or outcomes have names that give one file.
    """
    risk_set = judgement.risk_set
    known = np.sort(risk_set.known)
    if not len(known):
        return
    labelled = judgement.moments[known].with_columns(
        boolean_value=pl.Series(risk_set.status[known] == CASE, dtype=pl.Boolean)
    )
    for model, risks in risk_set.risks.items():
        probability = pl.Series(risks[known], dtype=pl.Float64)
        frame = labelled.with_columns(
            predicted_boolean_value=probability > THRESHOLD, predicted_boolean_probability=probability
        )
        name = f"{_plain(risk_set.outcome)}_by_{risk_set.horizon_years:g}_years.parquet"
        path = folder / FOLDER / _plain(model) / name
        if path.exists():
            raise ConfigError(
                "two models or outcomes whose names give one file", where=f"{FOLDER}/{_plain(model)}/{name}",
                remedy="rename one: letters, digits and . + - _ are kept, the rest becomes _",
            )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        PREDICTIONS.write(frame, path)


def _plain(name: str) -> str:
    """A name as part of a path.

    >>> _plain("EHR+PGS"), _plain("../a b")
    ('EHR+PGS', '_a_b')
    """
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".")
