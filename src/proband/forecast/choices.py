"""How a risk can be estimated, by the names that settings use.

A new estimator is one class in one file and one entry here; from outside, an assignment
(:class:`~proband.core.registry.Registry`). Nothing here imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from proband.core.registry import Registry

CLOSED_FORM: Literal["closed_form"] = "closed_form"
"""The estimator that samples no paths."""
ESTIMATORS: Registry[Any] = Registry(
    "estimator",
    {
        CLOSED_FORM: "proband.forecast.estimators.closed_form:ClosedForm",
        "mc": "proband.forecast.estimators.mc:MonteCarlo",
        "scope": "proband.forecast.estimators.scope:Scope",
        "reach": "proband.forecast.estimators.reach:Reach",
    },
)
"""Subclasses of ``proband.forecast.estimators.estimator.RiskEstimator``."""


def samples_paths(estimator: str) -> bool:
    """Whether an estimator reads sampled paths, by its name."""
    return bool(ESTIMATORS[estimator].samples_paths)
