"""The baselines there are, by the names that settings use; what stands behind a name is imported when used.

A new baseline is one function, one entry in :mod:`proband.evaluate.baselines.registry` and its name here;
from outside, an assignment (:class:`~proband.core.registry.Registry`).
"""

from __future__ import annotations

from typing import Any

from proband.core.registry import Registry

_ENTRIES = "proband.evaluate.baselines.registry"
BASELINES: Registry[Any] = Registry(
    "baseline",
    {
        "age_sex": f"{_ENTRIES}:AGE_SEX",
        "logistic": f"{_ENTRIES}:LOGISTIC",
        "logistic_pgs": f"{_ENTRIES}:LOGISTIC_PGS",
        "lightgbm": f"{_ENTRIES}:LIGHTGBM",
        "lightgbm_pgs": f"{_ENTRIES}:LIGHTGBM_PGS",
        "survival_boost": f"{_ENTRIES}:SURVIVAL_BOOST",
        "survival_boost_pgs": f"{_ENTRIES}:SURVIVAL_BOOST_PGS",
        "phers_pgs": f"{_ENTRIES}:PHERS_PGS",
        "pgs_logistic": f"{_ENTRIES}:PGS_LOGISTIC",
        "pgs_cox": f"{_ENTRIES}:PGS_COX",
        "late_fusion": f"{_ENTRIES}:LATE_FUSION",
    },
)
"""Name of the RiskTable's model -> ``proband.evaluate.baselines.registry.Baseline``, in the order fitted."""
HIGHEST_THRESHOLD = 0.9
"""Highest risk at which acting is judged."""
