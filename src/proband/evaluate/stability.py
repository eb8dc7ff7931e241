"""How much one subject's risk depends on the chance in training: refits of a model beside the model.

A refit is the same model trained again with another seed or on a resample of the train subjects. Two models
with the same AUROC and calibration may tell one subject different risks. Riley and Collins 2023, doi
10.1002/bimj.202200302.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.files.tables import Table
from proband.core.running.progress import say
from proband.core.schema import RISK
from proband.evaluate.choices import HIGHEST_THRESHOLD
from proband.evaluate.inputs import risk_file
from proband.evaluate.metrics.calibration import risk_groups

FILE = "stability.parquet"
LEAST_REFITS = 2
GROUPS = 10
LOWER, UPPER = 0.025, 0.975
THRESHOLDS_PER_MEAN = (0.5, 1.0, 2.0, 4.0)
"""Thresholds of classification, in multiples of the mean original risk."""
_ROW = ("subject_id", "prediction_time", "outcome", "horizon_years")

STABILITY = Table(
    "stability",
    {
        "outcome": pl.String,
        "horizon_years": pl.Float64,
        "model": pl.String,
        "measure": pl.String,
        "at": pl.Float64,
        "value": pl.Float64,
        "num_refits": pl.Int64,
        "num_subjects": pl.Int64,
    },
    nullable=frozenset({"at"}),
    unique=("outcome", "horizon_years", "model", "measure", "at"),
)
"""Measures of :func:`measures`. ``at`` is the threshold of ``classification_changed``, the number of a
group of rising original risk of ``group_original``, ``group_low``, ``group_high`` and ``group_subjects``, and
null of the others."""


@dataclass(frozen=True)
class Instability:
    """What refits say of each prediction, n of them.

    Attributes:
        original: Risks of the model.
        difference: Mean over refits of |refit − original|.
        low: 2.5% quantile of the refits' risks.
        high: 97.5% quantile.
    """

    original: Float[np.ndarray, " n"]
    difference: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]


def instability(original: Float[np.ndarray, " n"], refits: Float[np.ndarray, "refits n"]) -> Instability:
    """Prediction by prediction.

    Args:
        original: Risks of the model.
        refits: Risks of the same predictions by each refit.

    >>> found = instability(np.array([0.2]), np.array([[0.1], [0.4]]))
    >>> found.difference.round(3).tolist()
    [0.15]
    """
    low, high = np.quantile(refits, [LOWER, UPPER], axis=0)
    return Instability(original, np.abs(refits - original).mean(axis=0), low, high)


def classification_changed(
    original: Float[np.ndarray, " n"], refits: Float[np.ndarray, "refits n"], threshold: float
) -> float:
    """Share of refits and predictions on the other side of a threshold than the original.

    >>> classification_changed(np.array([0.2, 0.4]), np.array([[0.4, 0.5], [0.1, 0.5]]), 0.3)
    0.25
    """
    return float(((refits >= threshold) != (original >= threshold)).mean())


def measures(
    original: Float[np.ndarray, " n"], refits: Float[np.ndarray, "refits n"], subjects: Int[np.ndarray, " n"]
) -> list[tuple[str, float | None, float]]:
    """Measure, what it is at, and value.

    ``mean_absolute_difference`` of refit and original; ``interval_width`` and ``interval_width_90``, mean
    and 90th percentile over predictions of the width between 2.5 and 97.5% of the refits;
    ``classification_changed`` at multiples of the mean risk; and within up to ten groups of rising original
    risk its mean, the means of both ends, and how many different ``subjects`` they are of.
    """
    found = instability(original, refits)
    width = found.high - found.low
    rows: list[tuple[str, float | None, float]] = [
        ("mean_absolute_difference", None, float(found.difference.mean())),
        ("interval_width", None, float(width.mean())),
        ("interval_width_90", None, float(np.quantile(width, 0.9))),
    ]
    thresholds = [float(original.mean()) * times for times in THRESHOLDS_PER_MEAN]
    for threshold in (one for one in thresholds if 0 < one <= HIGHEST_THRESHOLD):
        rows.append(
            ("classification_changed", threshold, classification_changed(original, refits, threshold))
        )
    for number, group in enumerate(risk_groups(original, GROUPS), start=1):
        for name in ("original", "low", "high"):
            rows.append((f"group_{name}", float(number), float(getattr(found, name)[group].mean())))
        rows.append(("group_subjects", float(number), float(len(np.unique(subjects[group])))))
    return rows


def read_refits(paths: Sequence[Path], models: Sequence[str]) -> list[pl.DataFrame]:
    """RiskTables of refits, one each, by the name of the model that was fitted again.

    Args:
        paths: Forecast folders or RiskTable files.
        models: Names of the models given.

    Raises:
        ConfigError: A refit has another name than any model given, or the risks of another refit; a model
            has a single refit.
        DataError: A table is unusable.
    """
    tables: list[pl.DataFrame] = []
    number = dict.fromkeys(models, 0)
    for path in map(risk_file, paths):
        table = RISK.read(path).select(*_ROW, "model", "risk")
        for model in table["model"].unique(maintain_order=True):
            if model not in number:
                raise ConfigError(
                    f"refit of no model given: {model}", where=path, expected=f"one of {', '.join(models)}",
                    remedy=near_matches(model, models) or "forecast it with --name of the model",
                )  # fmt: skip
            number[model] += 1
        same = next((one for one, other in zip(paths, tables, strict=False) if table.equals(other)), None)
        if same is not None:
            raise ConfigError(
                "two refits with the same risks", where=path, found=f"those of {same}",
                remedy="name each refit once, each trained with another --seed or --resample-seed",
            )  # fmt: skip
        tables.append(table)
    for model, refits in number.items():
        if refits and refits < LEAST_REFITS:
            raise ConfigError(
                f"too few refits of {model}", found=refits, expected=f"at least {LEAST_REFITS}",
                remedy="train with further --resample-seed or --seed, and name each forecast by --refits",
            )  # fmt: skip
    return tables


def stability(risks: pl.DataFrame, refits: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The table of a results folder.

    An outcome of which a refit has no risks at all is left out, and that is said: on a resample a rare one
    may have too few onsets to be learnt.

    Args:
        risks: RiskTables of the models, the rows that are judged.
        refits: Of :func:`read_refits`.

    Returns:
        A frame of :data:`STABILITY`.

    Raises:
        DataError: A refit lacks some predictions of an outcome, or there is no outcome that all have.
    """
    rows: list[tuple] = []
    lacking: dict[str, set[str]] = {}
    key = ["outcome", "horizon_years", "model"]
    named = {model for table in refits for model in table["model"].unique()}
    mine = risks.filter(pl.col("model").is_in(named)).sort(
        "model", "outcome", "horizon_years", maintain_order=True
    )
    for place, part in mine.partition_by(key, as_dict=True, maintain_order=True).items():
        own = [table.filter(model=place[2]) for table in refits if place[2] in table["model"]]
        if not all(place[0] in table["outcome"] for table in own):
            lacking.setdefault(str(place[2]), set()).add(str(place[0]))
            continue
        found = _beside(part, own)
        subjects = part["subject_id"].n_unique()
        for measure, at, value in measures(part["risk"].to_numpy(), found, part["subject_id"].to_numpy()):
            rows.append((*place, measure, at, value, len(found), subjects))
    for model, outcomes in lacking.items():
        names = ", ".join(sorted(outcomes))
        say(f"evaluate: no stability of {names}: a refit of {model} has no risks of them")
    if mine.height and not rows:
        raise DataError(
            "refits share no outcome with their models", where=", ".join(sorted(lacking)),
            remedy="forecast the same task with each refit",
        )  # fmt: skip
    return pl.DataFrame(rows, schema=dict(STABILITY.columns), orient="row")


def _beside(part: pl.DataFrame, refits: Sequence[pl.DataFrame]) -> Float[np.ndarray, "refits n"]:
    """Risks of the same predictions by each refit."""
    found = []
    for table in refits:
        joined = part.select(*_ROW, "model").join(
            table, on=[*_ROW, "model"], how="left", maintain_order="left"
        )
        if missing := joined["risk"].null_count():
            raise DataError(
                "refit lacks predictions", where=f"{part['model'][0]}, {part['outcome'][0]}",
                found=f"{missing:,} of {part.height:,}", remedy="forecast the same subjects with each refit",
            )  # fmt: skip
        found.append(joined["risk"].to_numpy())
    return np.array(found)
