"""Colours of models; each has at least 3:1 contrast on white, as WCAG asks of marks."""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = ("#0b5394", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#be185d", "#4d7c0f")
BASELINE_COLOURS = {
    "age_sex": "#6b7280",
    "age": "#6b7280",
    "lightgbm": "#92704f",
    "lightgbm_pgs": "#5b4636",
    "pgs_logistic": "#334155",
}


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """A colour per model, the same in every figure; baselines are grey and brown."""
    own = [model for model in models if model not in BASELINE_COLOURS]
    given = {model: COLOURS[number % len(COLOURS)] for number, model in enumerate(own)}
    return given | {model: BASELINE_COLOURS[model] for model in models if model in BASELINE_COLOURS}
