"""From one risk set to the rows of the results tables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl

from proband.core.schema import Table
from proband.evaluate import tables
from proband.evaluate.compare import interval, two_sided_p
from proband.evaluate.metrics.censoring import CASE, CENSORED, censoring_weights
from proband.evaluate.metrics.discrimination import curve
from proband.evaluate.metrics.replicates import COMPARED, METRICS, Replicates, RiskSet, bootstrap
from proband.evaluate.metrics.utility import decision_curve

CURVE_POINTS = 200
DECISION_THRESHOLDS = np.round(np.concatenate([np.arange(0.005, 0.1, 0.005), np.arange(0.1, 0.505, 0.01)]), 3)


def risk_set_frames(risk_set: RiskSet, replicates: int, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Rows of metrics, differences, calibration, roc, pr and decision for one outcome and horizon.

    Where there are too few cases, controls or follow-up, the metrics are null with the reason and the other
    tables get no rows.
    """
    obstacle = risk_set.obstacle()
    if obstacle:
        return {
            "metrics": _frame(
                tables.METRICS, [_null_row(risk_set, *key, obstacle) for key in _keys(risk_set)]
            )
        }
    found = bootstrap(risk_set, replicates, rng)
    roc, pr, decision = _curves(risk_set)
    return {
        "metrics": _frame(tables.METRICS, [_metric_row(risk_set, found, *key) for key in _keys(risk_set)]),
        "differences": _frame(tables.DIFFERENCES, _difference_rows(risk_set, found)),
        "calibration": _frame(tables.CALIBRATION, _calibration_rows(risk_set, found)),
        "roc": _frame(tables.ROC, roc),
        "pr": _frame(tables.PR, pr),
        "decision": _frame(tables.DECISION, decision),
    }


def _frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(table.columns), orient="row")


def _keys(risk_set: RiskSet) -> list[tuple[str, str]]:
    return list(itertools.product(risk_set.risks, METRICS))


def _place(risk_set: RiskSet) -> dict[str, Any]:
    return {"outcome": risk_set.outcome, "horizon_years": risk_set.horizon_years}


def _null_row(risk_set: RiskSet, model: str, metric: str, note: str) -> dict[str, Any]:
    return _place(risk_set) | {
        "model": model,
        "metric": metric,
        "value": None,
        "low": None,
        "high": None,
        "num_subjects": risk_set.num_subjects(),
        "num_cases": risk_set.num_cases(),
        "note": note,
    }


def _metric_row(risk_set: RiskSet, found: Replicates, model: str, metric: str) -> dict[str, Any]:
    row = _null_row(risk_set, model, metric, "")
    if metric == "unresolved":
        return row | {"value": risk_set.unresolved.get(model, 0.0)}
    value, *replicates = found.values[model, metric]
    if not np.isfinite(value):
        return row | {"note": "not estimable: the risks are all equal or the fit did not converge"}
    return row | {"value": float(value)} | _ends(np.array(replicates))


def _ends(replicates: np.ndarray) -> dict[str, float | None]:
    low, high = interval(replicates)
    return {"low": low, "high": high} if np.isfinite(low) else {"low": None, "high": None}


def _difference_rows(risk_set: RiskSet, found: Replicates) -> list[dict[str, Any]]:
    rows = []
    for metric, (a, b) in itertools.product(COMPARED, itertools.combinations(risk_set.risks, 2)):
        value, *replicates = found.values[a, metric] - found.values[b, metric]
        p = two_sided_p(np.array(replicates))
        rows.append(
            _place(risk_set)
            | {"metric": metric, "model_a": a, "model_b": b, "difference": float(value)}
            | _ends(np.array(replicates))
            | {"p_value": p if np.isfinite(p) else None}
        )
    return rows


def _calibration_rows(risk_set: RiskSet, found: Replicates) -> list[dict[str, Any]]:
    rows = []
    for model, groups in found.groups.items():
        for number, members in enumerate(groups):
            value, *replicates = found.observed[model, number]
            rows.append(
                _place(risk_set)
                | {"model": model, "group": number + 1}
                | {"predicted": float(risk_set.risks[model][members].mean()), "observed": float(value)}
                | _ends(np.array(replicates))
                | {"num_subjects": risk_set.num_subjects(members)}
                | {"num_cases": risk_set.num_cases(members)}
            )
    return rows


def _curves(risk_set: RiskSet) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    known = risk_set.status != CENSORED
    case, subject = risk_set.status[known] == CASE, risk_set.subject_id[known]
    ones = np.ones((1, len(known)))
    weights = censoring_weights(risk_set.time_years, risk_set.event, risk_set.horizon_years, ones)[0, known]
    roc: list[dict[str, Any]] = []
    pr: list[dict[str, Any]] = []
    decision: list[dict[str, Any]] = []
    for model, risk in risk_set.risks.items():
        place = _place(risk_set) | {"model": model}
        points = curve(risk[known], case, weights, subject, CURVE_POINTS)
        roc += _rows(place, points, ("threshold", "false_positive_rate", "sensitivity"))
        pr += _rows(place, points, ("threshold", "sensitivity", "precision"))
        benefit = decision_curve(risk[known], case, weights, subject, DECISION_THRESHOLDS)
        decision += _rows(place, benefit, ("threshold", "net_benefit", "net_benefit_all"))
    return roc, pr, decision


def _rows(place: dict[str, Any], points: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = (*names, "num_flagged", "num_flagged_cases")
    values = zip(*(getattr(points, name).tolist() for name in columns), strict=True)
    return [place | dict(zip(columns, row, strict=True)) for row in values]
