"""From one risk set to the rows of the results tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from proband.core.files.tables import Table
from proband.evaluate import tables
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.compare import interval, two_sided_p, verdict
from proband.evaluate.metrics.discrimination import curve
from proband.evaluate.metrics.registry import METRICS, compared, metrics_of
from proband.evaluate.metrics.replicates import ACT_ON_ALL, ACT_ON_NONE, Replicates
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.smooth import histogram_edges, subjects_beside, subjects_in_bins
from proband.evaluate.metrics.strong import has_log_odds
from proband.evaluate.metrics.utility import decision_curve

CURVE_POINTS = 200
LARGEST_NOISE_SHARE = 0.05
"""Share of sampling noise in the variance of risks above which slope and Brier score are cautioned."""
LARGEST_NOISE_OF_TRUTH = 0.25
"""Of true log odds: above it, two runs of the oracle lie further apart than their standard errors say."""
_OTHER = ("outcome", "horizon_years", "model", *tables.FLAGGED, "low", "high")
DECISION_COLUMNS = tuple(name for name in tables.DECISION.columns if name not in _OTHER)


def risk_set_frames(
    risk_set: RiskSet,
    found: Replicates | None,
    references: Sequence[str] = (),
    margin: float = 0.01,
    pairs: Sequence[tuple[str, str]] = (),
) -> dict[str, pl.DataFrame]:
    """Rows of the tables of one outcome and horizon, those of subgroups and deciles aside.

    Args:
        risk_set: Rows and risks.
        found: Of :func:`~proband.evaluate.metrics.replicates.bootstrap`; None where the risk set has an
            obstacle: the metrics are then null with the reason and the other tables get no rows.
        references: Baselines to beat: net benefit is compared with those of them that are judged.
        margin: Of AUROC, within which a difference does not matter.
        pairs: Models whose net benefit is compared besides, such as with and without a genome.
    """
    if found is None:
        obstacle = risk_set.obstacle()
        rows = [_null_row(risk_set, *key, obstacle) for key in _keys(risk_set)]
        return {"metrics": _frame(tables.METRICS, rows)}
    roc, pr, decision = _curves(risk_set, found)
    return {
        "metrics": _frame(tables.METRICS, [_metric_row(risk_set, found, *key) for key in _keys(risk_set)]),
        "differences": _frame(tables.DIFFERENCES, _difference_rows(risk_set, found, margin)),
        "calibration": _frame(tables.CALIBRATION, _calibration_rows(risk_set, found)),
        "calibration_curve": _frame(tables.CALIBRATION_CURVE, _smoothed_rows(risk_set, found)),
        "risk_histogram": _frame(tables.RISK_HISTOGRAM, _histogram_rows(risk_set)),
        "roc": _frame(tables.ROC, roc),
        "pr": _frame(tables.PR, pr),
        "decision": _frame(tables.DECISION, decision).with_columns(pl.col(pl.Float64).fill_nan(None)),
        "utility": _frame(tables.UTILITY, _utility_rows(found, _place(risk_set), references, pairs)),
    }


def _frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(table.columns), orient="row")


def _keys(risk_set: RiskSet) -> list[tuple[str, str]]:
    return [(model, metric) for model in risk_set.risks for metric in metrics_of(risk_set, model)]


def _place(risk_set: RiskSet) -> dict[str, Any]:
    return {"outcome": risk_set.outcome, "horizon_years": risk_set.horizon_years}


def _null_row(risk_set: RiskSet, model: str, metric: str, note: str) -> dict[str, Any]:
    return _place(risk_set) | {
        "model": model,
        "metric": metric,
        "value": None,
        "low": None,
        "high": None,
        "num_subjects": risk_set.counts[0],
        "num_cases": risk_set.counts[1],
        "note": note,
    }


def _metric_row(risk_set: RiskSet, found: Replicates, model: str, metric: str) -> dict[str, Any]:
    row = _null_row(risk_set, model, metric, "")
    value, *replicates = found.values[model, metric]
    if not np.isfinite(value):
        return row | {"note": _why_not_estimable(risk_set, model, metric)}
    once = METRICS[metric].once
    few = "" if once else risk_set.too_few_for_intervals()
    cautions = [few, METRICS[metric].caution(risk_set.counts[1])]
    cautions += [_noise(found, model)] if metric in ("brier", "calibration_slope") else []
    cautions += _of_true_log_odds(risk_set, found, model) if METRICS[metric].needs_truth else []
    resampled = len(found.values[model, "cumulative_incidence"]) > 1
    ends = _ends(np.array(replicates)) if resampled else {}
    return row | {"value": float(value), "note": "; ".join(filter(None, cautions))} | ends


def _why_not_estimable(risk_set: RiskSet, model: str, metric: str) -> str:
    if metric == "auroc_within_age_sex":
        return "not estimable: no case and control of one sex and age band"
    if METRICS[metric].needs_truth and not has_log_odds(risk_set.risks[risk_set.truth]).any():
        return "not estimable: no true risk is above 0 and below 1"
    return "not estimable: the risks are all equal or the fit did not converge"


def _of_true_log_odds(risk_set: RiskSet, found: Replicates, model: str) -> list[str]:
    """How many predictions have no true log odds, and whether those of the others are noisy."""
    kept = has_log_odds(risk_set.risks[risk_set.truth])
    left_out = len(kept) - int(kept.sum())
    noise = found.values[model, "log_odds_noise"][0]
    few = f"{left_out:,} of {len(kept):,} predictions left out: their true risk is 0 or 1"
    noisy = f"the true log odds have sampling noise of {noise:.2f} or more: take more futures"
    return [few] * bool(left_out) + [noisy] * bool(noise > LARGEST_NOISE_OF_TRUTH)


def _noise(found: Replicates, model: str) -> str:
    """A caution where much of what tells subjects' risks apart is Monte-Carlo error."""
    share = found.values[model, "monte_carlo_share"][0]
    if not share > LARGEST_NOISE_SHARE:
        return ""
    return f"sampling noise is {share:.0%} of the variance of the risks: see the noise-corrected value"


def _ends(replicates: np.ndarray) -> dict[str, float | None]:
    low, high = interval(replicates)
    return {"low": low, "high": high} if np.isfinite(low) else {"low": None, "high": None}


def _difference_rows(risk_set: RiskSet, found: Replicates, margin: float) -> list[dict[str, Any]]:
    rows = []
    for metric, (a, b) in itertools.product(compared(), itertools.combinations(risk_set.risks, 2)):
        value, *replicates = found.values[a, metric] - found.values[b, metric]
        p = two_sided_p(np.array(replicates))
        ends = _ends(np.array(replicates))
        rows.append(
            _place(risk_set)
            | {"metric": metric, "model_a": a, "model_b": b, "difference": float(value)}
            | ends
            | {"p_value": p if np.isfinite(p) else None}
            | {"verdict": verdict(margin=margin, **ends) if metric == "auroc" else None}
        )
    return rows


def _utility_rows(
    found: Replicates, place: dict[str, Any], references: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    rows = []
    models = [model for model in found.benefit if model not in (ACT_ON_ALL, ACT_ON_NONE)]
    for model in models:
        paired = [other for one, other in pairs if one == model]
        beside = [name for name in dict.fromkeys([*paired, *references]) if name in models and name != model]
        rows += _benefits_beside(found, place, model, [*beside, ACT_ON_ALL, ACT_ON_NONE])
    return rows


def _benefits_beside(
    found: Replicates, place: dict[str, Any], model: str, references: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for reference in references:
        difference = found.benefit[model] - found.benefit[reference]
        for threshold, (value, *replicates) in zip(found.thresholds.tolist(), difference.T, strict=True):
            rows.append(
                place
                | {"model": model, "reference": reference, "threshold": threshold}
                | {"difference": float(value)}
                | _ends(np.array(replicates))
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


def _smoothed_rows(risk_set: RiskSet, found: Replicates) -> list[dict[str, Any]]:
    """Calibration curves; none where cases or controls are too few for an interval or the fit failed."""
    if risk_set.too_few_for_intervals():
        return []
    rows = []
    for model, points in found.points.items():
        beside = subjects_beside(risk_set.risks[model], risk_set.subject_id, points)
        each = zip(
            points.tolist(), found.smoothed[model].T, *(counts.tolist() for counts in beside), strict=True
        )
        rows += [
            _place(risk_set)
            | {"model": model, "predicted": point, "observed": float(value)}
            | _ends(np.array(replicates))
            | {"num_subjects_below": below, "num_subjects_above": above}
            for point, (value, *replicates), below, above in each
            if np.isfinite(value)
        ]
    return rows


def _histogram_rows(risk_set: RiskSet) -> list[dict[str, Any]]:
    rows = []
    for model, risk in risk_set.risks.items():
        edges = histogram_edges(risk)
        counts = subjects_in_bins(risk, risk_set.subject_id, edges).tolist()
        rows += [
            _place(risk_set) | {"model": model, "low": low, "high": high, "num_subjects": count}
            for (low, high), count in zip(itertools.pairwise(edges.tolist()), counts, strict=True)
        ]
    return rows


def _curves(
    risk_set: RiskSet, found: Replicates
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    known, weights = risk_set.known, risk_set.censoring
    case, subject = risk_set.status[known] == CASE, risk_set.subject_id[known]
    roc: list[dict[str, Any]] = []
    pr: list[dict[str, Any]] = []
    decision: list[dict[str, Any]] = []
    for model, risk in risk_set.risks.items():
        place = _place(risk_set) | {"model": model}
        points = curve(risk[known], case, weights, subject, CURVE_POINTS)
        roc += _rows(place, points, ("threshold", "false_positive_rate", "sensitivity"))
        pr += _rows(place, points, ("threshold", "sensitivity", "precision"))
        benefit = decision_curve(risk[known], case, weights, subject, found.decision_thresholds)
        ends = [_ends(column[1:]) for column in found.decision[model].T]
        rows = _rows(place, benefit, DECISION_COLUMNS)
        decision += [row | each for row, each in zip(rows, ends, strict=True)]
    return roc, pr, decision


def _rows(place: dict[str, Any], points: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = (*names, "num_flagged", "num_flagged_cases")
    values = zip(*(getattr(points, name).tolist() for name in columns), strict=True)
    return [place | dict(zip(columns, row, strict=True)) for row in values]
