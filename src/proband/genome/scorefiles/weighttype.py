"""What kind of number a scoring file's weights are: an odds or hazard ratio is summed by its logarithm.

``#weight_type`` of the PGS Catalog is free text, such as ``OR``, ``OR/HR``, ``Odds ratio (logistic
regression)``, ``exp(beta)``, ``log(OR)`` or ``beta`` (https://www.pgscatalog.org/downloads/#scoring_files);
older files have a column ``weight_type`` in its place.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from proband.core.errors import DataError

_ABBREVIATIONS = r"(?:OR|HR|RR)s?"
_RATIO = re.compile(
    # "or" may be the conjunction: abbreviations count in upper case, or where there is nothing else.
    rf"\ba?{_ABBREVIATIONS}\b|(?i:^\W*a?{_ABBREVIATIONS}(?:\W+a?{_ABBREVIATIONS})*\W*$)"
    r"|(?i:\b(?:odds?|hazards?|risks?|rates?)[\s-]*ratios?\b|\brelative[\s-]*risks?\b)"
)
_MODELS = "additive|binomial|likelihood|linear|link|normal|poisson|rank"
"""What follows ``log`` in the name of a model, such as log-additive."""
_LOGARITHM = re.compile(
    rf"(?<!not )(?<!non-)\b(?:log|ln)(?:e|2|10)?(?![a-z])(?![\s-]*(?:{_MODELS}))"
    r"|\b(?:log|ln)(?:e|2|10)?(?:ors?|hrs?|rrs?|odds|hazards?|risks?)\b|\blogarithm|\blogged\b|\bbetas?\b",
    re.IGNORECASE,
)
_EXPONENTIATED = re.compile(
    r"\bexp\s*\([^()]*(?:\([^()]*\))?[^()]*\)|(?<!not )(?<!non-)\bexponentiated\b(?:\s+\w+)?", re.IGNORECASE
)
_UNTOLD = ("", "NR")
"""No kind, and the PGS Catalog's "not reported"."""


def is_ratio(weight_type: str | None) -> bool:
    """Whether a ``#weight_type`` names ratios, and not their logarithms.

    >>> [is_ratio(text) for text in ("OR", "OR/HR", "Hazard Ratio (HR)", "log(OR)", "ln OR", "beta", None)]
    [True, True, True, False, False, False, False]
    >>> [is_ratio(text) for text in ("ORs, log-additive model", "exp(beta)", "effects or weights")]
    [True, True, False]
    """
    text, num_exponentiated = _EXPONENTIATED.subn(" ", (weight_type or "").replace("_", " "))
    return bool(num_exponentiated or _RATIO.search(text)) and not _LOGARITHM.search(text)


def ratio_of(header: str | None, column: pl.Series | None, path: Path) -> str | None:
    """The kind of ratio that a file's weights are; None where they are to be taken as they stand.

    Args:
        header: The header's ``weight_type``, None where it has none.
        column: The rows' ``weight_type``, None where the file has no such column.
        path: The file, for messages.

    Raises:
        DataError: Some weights are ratios and others are none.
    """
    told = [header] if header and header not in _UNTOLD else []
    rows = [] if column is None else column.unique(maintain_order=True).to_list()
    kinds = [*told, *(kind or "nothing" for kind in rows if kind or not told)]
    ratios = [kind for kind in kinds if is_ratio(kind)]
    if ratios and len(ratios) < len(kinds):
        others = next(kind for kind in kinds if kind not in ratios)
        raise DataError(
            "weights of mixed kinds",
            where=path,
            found=f"weight_type {ratios[0]} and {others}",
            expected="one weight_type for all rows",
            remedy="turn ratios into their logarithms, or split the file by weight_type",
        )
    return ratios[0] if ratios else None
