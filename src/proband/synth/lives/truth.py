"""The true risks: each subject's future lived many times over with the same life-course code."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.progress import track
from proband.synth.lives.lifecourse import NUM_DISEASES, Law, People, State, Step, advance

_FUTURES_AT_ONCE = 60_000
"""Subjects x replicates in one batch; bounds memory to some hundred MB."""


def true_risks(
    law: Law,
    people: People,
    state: State,
    horizons: tuple[int, ...],
    replicates: int,
    step_years: float,
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "subjects diseases horizons"], Float[np.ndarray, "subjects diseases horizons"]]:
    """Cumulative incidence of each disease, with death competing, given everything latent at ``state``.

    Each future contributes the sum over its steps of the probability that the onset falls in the step before
    death, while it is alive and free of the disease. This has the expectation of the plain count of onsets
    and a smaller variance. Treatment, other diseases and biomarkers move on as they do in the biobank.

    Args:
        law: Hazards.
        people: Subjects.
        state: Their latent state at the prediction time; not changed.
        horizons: Years, increasing.
        replicates: Futures per subject, at least 2.
        step_years: As in the biobank.
        random: Stream.

    Returns:
        Risks (means cut to at most 1) and their Monte-Carlo standard errors.
    """
    count = len(state.age)
    total = np.zeros((count, NUM_DISEASES, len(horizons)))
    squares = np.zeros_like(total)
    for start in track(
        range(0, replicates, per_batch := max(1, _FUTURES_AT_ONCE // max(1, count))), "Futures"
    ):
        repeats = min(per_batch, replicates - start)
        rows = np.tile(np.arange(count), repeats)
        paths = _futures(law, people.take(rows), state.take(rows), horizons, step_years, random)
        paths = paths.reshape(repeats, count, NUM_DISEASES, len(horizons))
        total += paths.sum(axis=0)
        squares += (paths**2).sum(axis=0)
    mean = total / replicates
    variance = np.maximum(squares / replicates - mean**2, 0) * replicates / (replicates - 1)
    return np.minimum(mean, 1), np.minimum(np.sqrt(variance / replicates), 1)


def _futures(
    law: Law,
    people: People,
    state: State,
    horizons: tuple[int, ...],
    step_years: float,
    random: np.random.Generator,
) -> np.ndarray:
    start = state.age.copy()
    risk = np.zeros((len(start), NUM_DISEASES, len(horizons)))
    so_far = np.zeros((len(start), NUM_DISEASES))
    for index, horizon in enumerate(horizons):
        for step in advance(law, people, state, start + horizon, step_years, random):
            so_far += step_incidence(step)
        risk[:, :, index] = so_far
    return risk


def step_incidence(step: Step) -> Float[np.ndarray, "subjects diseases"]:
    """Probability that each disease begins within the step, before death.

    h / (h + m) x (1 - exp(-(h + m) years)) with hazard h and hazard of death m, both constant in the step.
    """
    both = step.hazards[:, :NUM_DISEASES] + step.hazards[:, -1:]
    with np.errstate(invalid="ignore"):
        share = np.nan_to_num(step.hazards[:, :NUM_DISEASES] / both)
    return share * -np.expm1(-both * step.years[:, None])


def risk_table(
    subject_id: np.ndarray,
    prediction_time: pl.Series,
    free: np.ndarray,
    risk: Float[np.ndarray, "subjects diseases horizons"],
    error: Float[np.ndarray, "subjects diseases horizons"],
    names: tuple[str, ...],
    horizons: tuple[int, ...],
) -> pl.DataFrame:
    """The risks as ``core.schema.RISK`` with model ``oracle``, for subjects ``free`` of each disease."""
    subject, disease, horizon = (
        index.ravel() for index in np.meshgrid(*(np.arange(size) for size in risk.shape), indexing="ij")
    )
    keep = free[subject, disease]
    subject, disease, horizon = subject[keep], disease[keep], horizon[keep]
    return pl.DataFrame(
        {
            "subject_id": subject_id[subject],
            "prediction_time": prediction_time.gather(subject),
            "outcome": np.array(names)[disease],
            "horizon_years": np.array(horizons, dtype=float)[horizon],
            "model": "oracle",
            "risk": risk[subject, disease, horizon],
            "standard_error": error[subject, disease, horizon],
            "unresolved": 0.0,
        }
    )
