"""Do scores tell as much of people whose record already says much: their effect by the record's own risk.

    python experiments/effects_by_risk.py OUT --size small --seeds 0 1 2

Held-out people are grouped by the risk that EHR+PCs gives them. In each group the true risk (of the oracle)
is regressed on what the scores add to the log odds of EHR+PCs+PGS (prefix), given the log odds of EHR+PCs: a
slope of 1 says that the scores' effects have the right size there, 0 that they should have none. Intervals
are over resamples of people, one Newton step from the sample's slope. OUT/SIZE gets effects_by_risk.csv and
effects_by_risk.md.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from biobank import EHR_PCS, ORACLE, SIZES, Biobank, arguments, with_scores
from onset_panel import HORIZONS, judged, read_paired
from replicates import labelled, write

from proband.evaluate.panel.gain import PairedRisks

PGS = with_scores("PGS prefix")
BOUNDS = (0.5, 0.8, 0.95)
"""Quantiles of the record's risk between the groups."""
GROUPS = ("lower half", "50 to 80%", "80 to 95%", "highest 5%")
LEAST_SD = 0.05
"""Of what scores add, in a group; below it there is nothing to regress on."""
STEPS, TOLERANCE = 50, 1e-9


def main() -> None:
    """Run, or go on."""
    given = arguments(__doc__).parse_args()
    size = SIZES[given.size]
    rows = []
    banks = {seed: Biobank.made(given.out, size, seed) for seed in given.seeds}
    panels = {seed: judged(bank) for seed, bank in banks.items()}
    for horizon in HORIZONS[1:]:
        paired = {seed: read_paired(bank, *panels[seed], horizon) for seed, bank in banks.items()}
        models = [EHR_PCS.name, PGS.name, ORACLE]
        outcomes = [one.with_cases(2 * size.least_cases, models) for one in paired.values()]
        for outcome in sorted(set.intersection(*map(set, outcomes))):
            by_seed = {seed: slopes(one, outcome) for seed, one in paired.items()}
            for at, group in enumerate(GROUPS):
                found = {seed: values[at] for seed, values in by_seed.items()}
                if all(np.isfinite(values[0]) for values in found.values()):
                    rows += labelled(found, outcome=outcome, horizon_years=horizon, record_risk=group)
    seeds = " ".join(map(str, given.seeds))
    table = {"Slope of the truth on what scores add": pl.DataFrame(rows)}
    write(given.out / size.name, "effects_by_risk", table, f"{size.name}, seeds {seeds}")


def slopes(paired: PairedRisks, outcome: str) -> list[np.ndarray]:
    """Of each group by the record's risk the slope, one value per resample; NaN where scores add little."""
    weights = paired.weights(outcome)
    record, both = (log_odds(paired.risks_of(outcome, model)) for model in (EHR_PCS.name, PGS.name))
    group = np.searchsorted(np.quantile(record, BOUNDS), record)
    truth, added = paired.risks_of(outcome, ORACLE), both - record
    return [
        slope(truth[group == at], added[group == at], record[group == at], weights[:, group == at])
        for at in range(len(GROUPS))
    ]


def log_odds(risk: np.ndarray) -> np.ndarray:
    """Of risks, those of 0 and 1 a little inside."""
    inside = np.clip(risk, 1e-7, 1 - 1e-7)
    return np.log(inside / (1 - inside))


def slope(truth: np.ndarray, added: np.ndarray, offset: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """b of logit(truth) = offset + a + b added by logistic regression, one value per row of weights.

    Args:
        truth: True risks, shape (n,).
        added: Regressor, shape (n,).
        offset: Log odds, shape (n,).
        weights: How often each person is there in each resample, shape (resamples, n).

    Returns:
        (resamples,): exact for the first row of weights, for the others one Newton step from there; NaN where
        the regressor hardly varies.
    """
    if len(added) < 2 or added.std() < LEAST_SD:
        return np.full(len(weights), np.nan)
    design = np.column_stack([np.ones(len(added)), added])
    beta = np.zeros(2)
    for _ in range(STEPS):
        step = _newton(truth, design, offset, weights[:1], beta)[0]
        beta += step
        if np.abs(step).max() < TOLERANCE:
            break
    return beta[1] + _newton(truth, design, offset, weights, beta)[:, 1]


def _newton(
    truth: np.ndarray, design: np.ndarray, offset: np.ndarray, weights: np.ndarray, beta: np.ndarray
) -> np.ndarray:
    """The step of each resample, shape (resamples, 2)."""
    expected = 1 / (1 + np.exp(-(offset + design @ beta)))
    gradient = weights @ (design * (truth - expected)[:, None])
    squares = design[:, :, None] * design[:, None, :] * (expected * (1 - expected))[:, None, None]
    curvature = np.einsum("rn,nij->rij", weights, squares)
    return np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]


if __name__ == "__main__":
    main()
