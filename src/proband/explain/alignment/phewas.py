"""Cox models of every score and every disease on a tokens folder: what a PGS-PheWAS of the same data finds.

Time runs from entry; who had the disease by then is left out, death and exit censor. Age, its square, sex and
principal components enter first; then each score alone, its part that these explain linearly taken out, with
their effects held. One score at a time costs one dimension of Newton's method, so thousands are fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from proband.core.units import MINUTES_PER_YEAR
from proband.evaluate.baselines.scores.cox import fit_cox
from proband.explain.inputs import Asked
from proband.tokens.history.onsets import first_occurrences

_HARDLY = 1e-3
"""Penalty of what is not meant to be penalised; it keeps a constant column finite."""
_STEPS, _CLOSE, _LARGEST_STEP = 25, 1e-6, 1.0
_AT_ONCE = 64
LEAST_CASES = 21
"""Cases below which no Cox model is fitted."""


@dataclass(frozen=True)
class Incident:
    """Who is at risk of an outcome from entry on.

    Attributes:
        rows: Rows of the store.
        time_years: Years to the onset, or to exit.
        event: Whether the onset came.
    """

    rows: Int[np.ndarray, " subjects"]
    time_years: Float64[np.ndarray, " subjects"]
    event: Bool[np.ndarray, " subjects"]


def incident(asked: Asked, rows: Int[np.ndarray, " rows"], outcome: int) -> Incident:
    """Those of ``rows`` who are under follow-up without the outcome.

    Args:
        asked: The question.
        rows: Rows of the store.
        outcome: Number of the outcome.
    """
    store, tokens = asked.store, asked.head.config.tasks[asked.tasks[outcome]].tokens
    entry, exit_ = store.entry[rows].astype(np.int64), store.exit[rows].astype(np.int64)
    first = first_occurrences(store, rows.astype(np.int64), [tokens])[:, 0].astype(np.int64)
    kept = (exit_ > entry) & (first > entry)
    until = np.minimum(first, exit_)[kept]
    return Incident(rows[kept], (until - entry[kept]) / MINUTES_PER_YEAR, (first <= exit_)[kept])


def covariates(asked: Asked, rows: Int[np.ndarray, " n"]) -> Float64[np.ndarray, "n three"]:
    """Age at entry and its square, and sex (unknown in the middle), standardised."""
    age = asked.store.entry[rows] / MINUTES_PER_YEAR
    age = (age - age.mean()) / (age.std() or 1.0)
    return np.column_stack([age, age**2 - 1, np.nan_to_num(asked.store.female[rows], nan=0.5) - 0.5])


@dataclass(frozen=True)
class CoxEffects:
    """Log hazard ratios per standard deviation, one score at a time; NaN where there is none."""

    log_hazard_ratio: Float64[np.ndarray, " scores"]
    standard_error: Float64[np.ndarray, " scores"]


def cox_by_score(
    scores: Float64[np.ndarray, "n scores"],
    beside: Float64[np.ndarray, "n covariates"],
    time_years: Float64[np.ndarray, " n"],
    event: Bool[np.ndarray, " n"],
) -> CoxEffects:
    """Fit each score alone, beside covariates.

    Args:
        scores: Standardised; a score that does not vary gets NaN.
        beside: Covariates.
        time_years: Years to the event or the end of follow-up.
        event: Whether the event came.
    """
    null = fit_cox(beside, time_years, event, np.full(beside.shape[1], _HARDLY))
    design = np.column_stack([np.ones(len(beside)), beside])
    alone = scores - design @ np.linalg.solve(
        design.T @ design + _HARDLY * np.eye(design.shape[1]), design.T @ scores
    )
    order = np.argsort(-time_years, kind="stable")
    ordered = time_years[order]
    last = np.searchsorted(-ordered, -ordered, side="right")[event[order]] - 1
    offset = (beside @ null.beta)[order]
    parts = [
        _newton(alone[order, at : at + _AT_ONCE], offset, event[order], last)
        for at in range(0, scores.shape[1], _AT_ONCE)
    ]
    beta, information = np.concatenate(parts, axis=1)
    usable = information > _CLOSE
    error = np.where(usable, 1 / np.sqrt(np.where(usable, information, 1.0)), np.nan)
    return CoxEffects(np.where(usable, beta, np.nan), error)


def _newton(x: np.ndarray, offset: np.ndarray, event: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Coefficients and information of single columns; rows from the longest follow-up to the shortest."""
    beta = np.zeros(x.shape[1])
    information = np.zeros(x.shape[1])
    happened = x[event].sum(axis=0)
    for _ in range(_STEPS):
        weight = np.exp(np.clip(offset[:, None] + x * beta, -50, 50))
        none = weight.cumsum(axis=0)[last]
        first = (weight * x).cumsum(axis=0)[last] / none
        information = ((weight * x * x).cumsum(axis=0)[last] / none - first**2).sum(axis=0)
        step = (happened - first.sum(axis=0)) / np.maximum(information, _CLOSE)
        step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        beta = beta + step
        if np.abs(step).max(initial=0.0) < _CLOSE:
            break
    return np.stack([beta, information])


def false_discovery_rates(p: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The q-values of Benjamini and Hochberg 1995 (doi:10.1111/j.2517-6161.1995.tb02031.x); NaN stays.

    >>> false_discovery_rates(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    found, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    raw = p[order] * len(known) / np.arange(1, len(known) + 1)
    found[order] = np.minimum(1.0, np.minimum.accumulate(raw[::-1])[::-1])
    return found
