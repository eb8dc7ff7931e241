"""Learnt effects of scores beside those of Cox models on the same data and published ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float64, Int
from scipy.special import erfc

from proband.core.running.progress import track
from proband.core.units import MINUTES_PER_YEAR
from proband.evaluate.groups.deciles import matches
from proband.explain.alignment.phewas import (
    LEAST_CASES,
    CoxEffects,
    covariates,
    cox_by_score,
    false_discovery_rates,
    incident,
)
from proband.explain.alignment.published import PublishedEffect, published_frame
from proband.explain.attribution.decomposition import named
from proband.explain.attribution.standard import Standard, standardised
from proband.explain.inputs import Asked
from proband.explain.tables import EFFECTS
from proband.tokens.modalities.modality import GENOME

EVERYBODY = "all"
RELATED = 0.2
"""Correlation from which on a score is related to an outcome's own. Rounded choice of ours."""


def effects_frame(
    asked: Asked,
    standard: Standard,
    correlation: Float64[np.ndarray, "scores scores"],
    rows: Int[np.ndarray, " subjects"],
    components: Float64[np.ndarray, "subjects components"],
    ancestry: Sequence[str | None],
    published: list[PublishedEffect],
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.EFFECTS`.

    Args:
        asked: The question.
        standard: Scores of the train split.
        correlation: Of these scores.
        rows: Rows of the store: genotyped subjects of the Cox models.
        components: Principal components of each, beside age and sex; no columns where there are none.
        ancestry: Label of each; None without.
        published: Published effects.
    """
    z = standardised(asked.head, GENOME, asked.tables[GENOME], rows)
    labels = np.array([label or "" for label in ancestry], dtype=object)
    groups = [(EVERYBODY, np.ones(len(rows), dtype=bool))]
    groups += [(str(label), labels == label) for label in sorted(set(labels) - {""})]
    parts = []
    asked_of = [(*group, outcome) for group in groups for outcome in range(len(asked.outcomes))]
    for label, members, outcome in track(asked_of, "Fitting Cox models of one score", len(asked_of)):
        frame = _effects(asked, standard, rows[members], z[members], components[members], outcome)
        if frame is not None and (label == EVERYBODY or frame["cox"].is_not_null().any()):
            parts.append(frame.with_columns(pl.lit(label).alias("ancestry")))
    table = pl.concat(parts)
    marks = pl.concat([own_scores(asked, standard, name, correlation) for name in asked.outcomes])
    known = published_frame(published, marks.filter("is_own").select("outcome", "score"))
    table = table.join(marks, on=["outcome", "score"], how="left", maintain_order="left")
    table = table.join(known, on=["outcome", "score"], how="left", maintain_order="left")
    q = table.select(
        pl.col("cox_p").map_batches(_q_values, return_dtype=pl.Float64).over("ancestry").alias("cox_q")
    )
    return named(table.with_columns(q["cox_q"]), "score", asked.names.scores).select(*EFFECTS.columns)


def _q_values(p: pl.Series) -> pl.Series:
    return pl.Series(false_discovery_rates(p.fill_null(np.nan).to_numpy())).fill_nan(None)


def _effects(
    asked: Asked,
    standard: Standard,
    rows: Int[np.ndarray, " subjects"],
    z: Float64[np.ndarray, "subjects scores"],
    components: Float64[np.ndarray, "subjects components"],
    outcome: int,
) -> pl.DataFrame | None:
    """Effects on one outcome in one group; None for a group of nobody."""
    if not len(rows):
        return None
    task = asked.tasks[outcome]
    at_risk = incident(asked, rows, outcome)
    beta = _learnt(asked, at_risk.rows, task)
    kept = np.isin(rows, at_risk.rows)
    num_cases = int(at_risk.event.sum())
    cox = _no_cox(len(beta))
    if num_cases >= LEAST_CASES:
        beside = np.hstack([covariates(asked, at_risk.rows), components[kept]])
        cox = cox_by_score(z[kept], beside, at_risk.time_years, at_risk.event)
    ratio = cox.log_hazard_ratio / cox.standard_error
    columns = {
        "log_hazard_ratio": beta,
        "log_hazard_ratio_alone": alone(z, beta),
        "cox": cox.log_hazard_ratio,
        "cox_standard_error": cox.standard_error,
        "cox_p": erfc(np.abs(ratio) / np.sqrt(2)),
    }
    return pl.DataFrame(
        {"outcome": [asked.outcomes[outcome]] * len(beta), "score": list(standard.names)}
        | {name: pl.Series(value).fill_nan(None) for name, value in columns.items()}
        | {"num_cases": pl.Series([num_cases] * len(beta), dtype=pl.Int64)}
    )


def _learnt(asked: Asked, rows: Int[np.ndarray, " n"], task: int) -> Float64[np.ndarray, " scores"]:
    """Effects after calibration, the mean over the ages at which subjects enter."""
    linear, slope = asked.head.linear_of(GENOME), float(asked.head.slope[task])
    age = torch.from_numpy(asked.store.entry[rows] / MINUTES_PER_YEAR).float()
    factor = float(linear.factor(age)[:, task].double().mean()) if len(rows) else 1.0
    return slope * factor * linear.beta[:, task].double().numpy()


def _no_cox(width: int) -> CoxEffects:
    return CoxEffects(np.full(width, np.nan), np.full(width, np.nan))


def alone(
    z: Float64[np.ndarray, "n scores"], beta: Float64[np.ndarray, " scores"]
) -> Float64[np.ndarray, " scores"]:
    """Effect of each score alone, others at their conditional mean given it: z beta regressed on it.

    0 for a score that does not vary.
    """
    centred = z - z.mean(axis=0)
    variance = (centred**2).sum(axis=0)
    covariance = centred.T @ (centred @ beta)
    return np.divide(covariance, variance, out=np.zeros_like(beta), where=variance > 0)


def own_scores(
    asked: Asked, standard: Standard, outcome: str, correlation: Float64[np.ndarray, "scores scores"]
) -> pl.DataFrame:
    """Which scores are an outcome's own, by their trait, and which are related to one of them."""
    traits = [asked.names.traits.get(score, "") for score in standard.names]
    own = np.array([matches(outcome, trait) for trait in traits], dtype=bool)
    return pl.DataFrame(
        {
            "outcome": [outcome] * len(own),
            "score": list(standard.names),
            "is_own": own,
            "is_related": related(correlation, own),
        }
    )


def related(
    correlation: Float64[np.ndarray, "scores scores"], own: Bool[np.ndarray, " scores"]
) -> Bool[np.ndarray, " scores"]:
    """Scores that are not own, and correlated with one that is."""
    return ~own & (np.abs(correlation[own]) >= RELATED).any(axis=0)
