"""Late fusion: the risk of a model of records and the log hazard of polygenic scores, joined at the end.

On the tuning split, which neither was fitted on,

    logit P(case) = a + b logit(risk of the model) + c (what scores add to the log hazard of ``pgs_cox``)

is fitted per outcome and horizon with censoring weights. b and c have normal priors about 1, as if record and
scores told of different things and log hazards added up, so that a tuning split with few cases cannot undo
what either knows. Nothing is left to tune.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.schema import RISK
from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.scores.pgs_cox import PgsCox
from proband.evaluate.baselines.table import known_rows, risk_table
from proband.evaluate.metrics.calibration import expit, fit_logistic, logit

NAME = "late_fusion"
PRIOR_SD = 0.3
"""Standard deviation of the priors of b and c."""
_PRIOR_MEAN = np.array([0.0, 1.0, 1.0])
_PRECISION = np.array([0.0, PRIOR_SD**-2, PRIOR_SD**-2])
_ROW = ["subject_id", "prediction_time", "outcome"]


def late_fusion(
    cox: PgsCox, tuned_on: pl.DataFrame, wanted: pl.DataFrame, fusion_risks: pl.DataFrame, given: pl.DataFrame
) -> pl.DataFrame:
    """The baseline's RiskTable, of the model and the rows of ``fusion_risks``.

    Args:
        cox: Hazards of the scores.
        tuned_on: Labels of the tuning split.
        wanted: Rows to predict.
        fusion_risks: RiskTable of the tuning split by one model.
        given: RiskTables of the judged split; those of other models are not read.

    Returns:
        A frame of :data:`proband.core.schema.RISK`; outcomes and horizons with fewer than 10 tuning cases, or
        that either table lacks, are left out.
    """
    model = fusion_risks["model"][0]
    parts = [RISK.empty()]
    for outcome, horizon in fusion_risks.select("outcome", "horizon_years").unique().sort(pl.all()).rows():
        if outcome not in cox.hazards:
            continue
        kind = {"outcome": outcome, "horizon_years": horizon, "model": model}
        judge = _with_risk(tuned_on, fusion_risks.filter(**kind))
        ask = _with_risk(wanted, given.filter(**kind))
        known, case, weights = known_rows(judge, horizon)
        if case.sum() < tuning.LEAST_TUNING_CASES or case.all() or ask.is_empty():
            continue
        design = _design(cox, outcome, judge.filter(known))
        beta = _PRIOR_MEAN + fit_logistic(design, case, weights, design @ _PRIOR_MEAN, _PRECISION)
        if np.isfinite(beta).all():
            risk = expit(_design(cox, outcome, ask) @ beta)
            parts.append(risk_table(ask, NAME, horizon, risk))
    return pl.concat(parts)


def _with_risk(rows: pl.DataFrame, risks: pl.DataFrame) -> pl.DataFrame:
    return rows.join(risks.select(*_ROW, "risk"), on=_ROW, how="inner", maintain_order="left")


def _design(cox: PgsCox, outcome: str, rows: pl.DataFrame) -> Float[np.ndarray, "rows 3"]:
    of_scores = cox.hazards[outcome].of_scores(cox.features.scored(rows))
    return np.column_stack([np.ones(rows.height), logit(rows["risk"].to_numpy()), of_scores])
