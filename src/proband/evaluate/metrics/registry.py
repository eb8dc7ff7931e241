"""The metrics there are: each an entry with a title and what computes it.

Adding one is one :class:`Metric` in :data:`METRICS`; from outside, an assignment
(:class:`~proband.core.registry.Registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from proband.core.registry import Registry
from proband.evaluate.metrics.judged import Judged
from proband.evaluate.metrics.risk_set import RiskSet


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: What it is, in a few words.
        compute: One value per replicate, the sample's first; NaN where it cannot be estimated. With ``once``
            any further values are its own reference distribution, or there are none.
        is_compared: Whether differences between models are tested.
        by_subgroup: Whether it is given for subgroups too.
        once: Computed on the sample alone, not in every bootstrap replicate.
        caution: From the number of cases to a warning; empty for none.
        needs_truth: Whether it is of a model beside true risks alone.
    """

    title: str
    compute: Callable[[Judged], np.ndarray]
    is_compared: bool = False
    by_subgroup: bool = True
    once: bool = False
    caution: Callable[[int], str] = lambda num_cases: ""
    needs_truth: bool = False


LEAST_CASES_AUPRC = 100
"""With fewer cases average precision comes out too high: .051 for .029 in a simulation of 16."""


def _few_cases(num_cases: int) -> str:
    return "" if num_cases >= LEAST_CASES_AUPRC else f"fewer than {LEAST_CASES_AUPRC} cases: biased upwards"


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "auroc": Metric("cumulative/dynamic AUROC, weighted for censoring", lambda on: on.areas[0], True),
        "auprc": Metric("average precision, weighted", lambda on: on.areas[1], True, caution=_few_cases),
        "c_index": Metric("C-index up to the horizon, death competing", Judged.concordance),
        "auroc_within_age_sex": Metric(
            "AUROC among people of one sex and age band", Judged.auroc_within_strata
        ),
        "brier": Metric("Brier score, weighted", lambda on: on.brier, True),
        "brier_scaled": Metric("1 - Brier / Brier of the incidence (IPA)", Judged.scaled_brier),
        "calibration_slope": Metric("b in logit P(case) = a + b logit(risk)", lambda on: on.slope),
        "calibration_intercept": Metric("a in logit P(case) = a + logit(risk)", Judged.intercept),
        "observed_expected": Metric(
            "Aalen-Johansen incidence / mean risk",
            Judged.observed_over_expected,
        ),
        "ici": Metric("mean |smoothed observed risk - risk|", Judged.mean_error),
        "e50": Metric("median of the same differences", lambda on: on.error_quantiles[0]),
        "e90": Metric("90th percentile of the same differences", lambda on: on.error_quantiles[1]),
        "ici_if_perfect": Metric("ICI of a perfect model", Judged.mean_error_if_perfect, once=True),
        "cumulative_incidence": Metric("Aalen-Johansen, death competing", lambda on: on.incidence),
        "auroc_complete_case": Metric("AUROC without the censored", lambda on: on.complete_case[0]),
        "auprc_complete_case": Metric(
            "average precision without the censored",
            lambda on: on.complete_case[1],
            caution=_few_cases,
        ),
        "auroc_censoring_by_risk": Metric(
            "AUROC, G by risk", lambda on: on.by_risk["auroc"], by_subgroup=False, once=True
        ),
        "slope_censoring_by_risk": Metric(
            "slope, G by risk", lambda on: on.by_risk["slope"], by_subgroup=False, once=True
        ),
        "observed_expected_censoring_by_risk": Metric(
            "observed / expected, Aalen-Johansen by risk",
            lambda on: on.by_risk["observed_expected"],
            by_subgroup=False,
            once=True,
        ),
        "monte_carlo_share": Metric("sampling noise in the variance of risks", Judged.noise_share),
        "brier_noise_corrected": Metric("Brier score of risks without noise", Judged.brier_without_noise),
        "slope_noise_corrected": Metric(
            "slope of risks without noise", Judged.slope_without_noise, by_subgroup=False
        ),
        "log_odds_rmse": Metric(
            "root mean squared difference from the true log odds", Judged.log_odds_rmse, needs_truth=True
        ),
        "log_odds_correlation": Metric(
            "correlation with the true log odds", Judged.log_odds_correlation, needs_truth=True
        ),
        "log_odds_noise": Metric(
            "sampling noise of the true log odds", Judged.log_odds_noise, needs_truth=True
        ),
        "unresolved": Metric("mean share of unresolved paths", lambda on: on.mean(on.unresolved)),
    },
)
"""Name -> metric, in the order of metrics.parquet."""


def metrics_of(risk_set: RiskSet, model: str) -> dict[str, Metric]:
    """The metrics that there are of a model: those that need true risks only beside these."""
    beside = risk_set.is_beside_truth(model)
    return {name: metric for name, metric in METRICS.items() if beside or not metric.needs_truth}


def metrics_by_subgroup(risk_set: RiskSet, model: str) -> dict[str, Metric]:
    """Those of :func:`metrics_of` that are given for subgroups too."""
    return {name: metric for name, metric in metrics_of(risk_set, model).items() if metric.by_subgroup}


def compared() -> list[str]:
    """Names of the metrics whose differences between models are tested."""
    return [name for name, metric in METRICS.items() if metric.is_compared]
