"""What kind of number a scoring file's weights are: an odds or hazard ratio is summed by its logarithm.

``#weight_type`` of the PGS Catalog is free text, such as ``OR``, ``OR/HR``, ``Odds ratio``, ``log(OR)`` or
``beta`` (https://www.pgscatalog.org/downloads/#scoring_files).
"""

from __future__ import annotations

import re

_RATIO = re.compile(r"\b(?:ors?|hrs?|rrs?|(?:odds?|hazards?|risk)[\s_-]*ratios?|relative[\s_-]*risks?)\b")
_LOGARITHM = re.compile(r"log|\bln\b|\bln\(|beta")


def is_ratio(weight_type: str | None) -> bool:
    """Whether a ``#weight_type`` names ratios, and not their logarithms.

    >>> [is_ratio(text) for text in ("OR", "OR/HR", "Hazard Ratio (HR)", "log(OR)", "ln OR", "beta", None)]
    [True, True, True, False, False, False, False]
    """
    text = (weight_type or "").lower()
    return bool(_RATIO.search(text)) and not _LOGARITHM.search(text)
