"""The metrics there are: each an entry with its name, a title and what computes it.

Adding one is one :class:`Metric` and one call of :func:`register`, here or in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from proband.evaluate.metrics.judged import Judged


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: In metrics.parquet.
        title: What it is, in a few words.
        compute: One value per replicate, the sample's first; NaN where it cannot be estimated. With ``once``
            any further values are its own reference distribution, or there are none.
        is_compared: Whether differences between models are tested.
        by_subgroup: Whether it is given for subgroups.
        once: Computed on the sample alone, not in every bootstrap replicate.
        caution: From the number of cases to a warning; empty for none.
    """

    name: str
    title: str
    compute: Callable[[Judged], np.ndarray]
    is_compared: bool = False
    by_subgroup: bool = False
    once: bool = False
    caution: Callable[[int], str] = lambda num_cases: ""


METRICS: dict[str, Metric] = {}
"""Name -> metric, in the order of metrics.parquet."""


def register(metric: Metric) -> Metric:
    """Add a metric.

    Raises:
        ValueError: The name is taken.
    """
    if metric.name in METRICS:
        raise ValueError(f"the metric {metric.name} is registered twice")
    METRICS[metric.name] = metric
    return metric


def compared() -> list[str]:
    """Names of the metrics whose differences between models are tested."""
    return [name for name, metric in METRICS.items() if metric.is_compared]


LEAST_CASES_AUPRC = 100
"""With fewer cases average precision comes out too high: .051 for .029 in a simulation of 16."""


def _few_cases(num_cases: int) -> str:
    return "" if num_cases >= LEAST_CASES_AUPRC else f"fewer than {LEAST_CASES_AUPRC} cases: biased upwards"


for _metric in (
    Metric("auroc", "cumulative/dynamic AUROC, weighted for censoring", lambda on: on.areas[0], True, True),
    Metric("auprc", "average precision, weighted", lambda on: on.areas[1], True, True, caution=_few_cases),
    Metric("c_index", "C-index up to the horizon, death competing", Judged.concordance, once=True),
    Metric("auroc_within_age_sex", "AUROC among people of one sex and age band", Judged.auroc_within_strata),
    Metric("brier", "Brier score, weighted", lambda on: on.brier, True),
    Metric("brier_scaled", "1 - Brier / Brier of the incidence (IPA)", Judged.scaled_brier, by_subgroup=True),
    Metric(
        "calibration_slope", "b in logit P(case) = a + b logit(risk)", lambda on: on.slope, by_subgroup=True
    ),
    Metric("calibration_intercept", "a in logit P(case) = a + logit(risk)", Judged.intercept),
    Metric(
        "observed_expected",
        "Aalen-Johansen incidence / mean risk",
        Judged.observed_over_expected,
        by_subgroup=True,
    ),
    Metric("ici", "mean |smoothed observed risk - risk|", Judged.mean_error),
    Metric("e50", "median of the same differences", lambda on: on.error_quantiles[0]),
    Metric("e90", "90th percentile of the same differences", lambda on: on.error_quantiles[1]),
    Metric("ici_if_perfect", "ICI of a perfect model", Judged.mean_error_if_perfect, once=True),
    Metric(
        "cumulative_incidence", "Aalen-Johansen, death competing", lambda on: on.incidence, by_subgroup=True
    ),
    Metric("auroc_complete_case", "AUROC without the censored", lambda on: on.complete_case[0]),
    Metric(
        "auprc_complete_case",
        "average precision without the censored",
        lambda on: on.complete_case[1],
        caution=_few_cases,
    ),
    Metric("auroc_censoring_by_risk", "AUROC, G by risk", lambda on: on.by_risk["auroc"], once=True),
    Metric("slope_censoring_by_risk", "slope, G by risk", lambda on: on.by_risk["slope"], once=True),
    Metric(
        "observed_expected_censoring_by_risk",
        "observed / expected, Aalen-Johansen by risk",
        lambda on: on.by_risk["observed_expected"],
        once=True,
    ),
    Metric("monte_carlo_share", "sampling noise in the variance of risks", Judged.noise_share),
    Metric("brier_noise_corrected", "Brier score of risks without noise", Judged.brier_without_noise),
    Metric("slope_noise_corrected", "slope of risks without noise", Judged.slope_without_noise),
    Metric("unresolved", "mean share of unresolved paths", lambda on: on.mean(on.unresolved)),
):
    register(_metric)
