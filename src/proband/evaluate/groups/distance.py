"""How performance changes with genetic distance from the people that models were trained on."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.schema import PCS
from proband.evaluate.inputs import COMPONENTS_FILE
from proband.evaluate.metrics.block import Block
from proband.evaluate.metrics.calibration import Refit, fit_logistic, logit, risk_groups
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.compare import Resamples, interval, stack
from proband.evaluate.metrics.discrimination import Ranking, auroc_and_auprc, rank
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.tables import DISTANCE

DISTANCE_COLUMN = "distance"
TENTHS = 10
LEAST_WITH_DISTANCE = 100
"""Subjects below which ten groups by distance hold too few."""
AUROC, SLOPE, LOG_ODDS = "auroc", "calibration_slope", "log_odds_observed_expected"
_Line = Float[np.ndarray, "replicates 2"]
"""At the centre, and change per unit of distance."""


def genetic_distance(genome: Path, trained: pl.Series | None = None) -> pl.DataFrame | None:
    """Distance of each subject's principal components from the centre of the people trained on.

    d_i = ||x_i - c||, after Ding et al. 2023 (doi 10.1038/s41586-023-06079-4), who measure it from the data
    that trained the score. The centre c is the median of each component, which lies among the largest
    population where several were trained on, and is their mean where there was one. The unit is the root mean
    square distance of those trained on, so that numbers do not depend on how components are scaled.

    Args:
        genome: Genome folder.
        trained: subject_id of those trained on; where none of them has components, or None: all who have.

    Returns:
        subject_id and distance, 0 or more; None without components, or where they do not vary.
    """
    path = genome / COMPONENTS_FILE
    if not path.is_file():
        return None
    components = PCS.read(path)
    names = [name for name in components.columns if name not in ("subject_id", "is_fitted")]
    place = components.select(pl.col(names).cast(pl.Float64)).to_numpy()
    mine = np.zeros(len(place), dtype=bool)
    if trained is not None:
        mine = components["subject_id"].is_in(trained.to_list()).to_numpy()
    people = place[mine] if mine.any() else place
    if not len(people):
        return None
    centre = np.median(people, axis=0)
    unit = np.sqrt(((people - centre) ** 2).sum(axis=1).mean())
    if not unit > 0:
        return None
    distance = np.sqrt(((place - centre) ** 2).sum(axis=1)) / unit
    return components.select("subject_id", pl.Series(DISTANCE_COLUMN, distance))


def distance_frame(
    risk_set: RiskSet, distance: Float[np.ndarray, " rows"], resamples: Resamples
) -> pl.DataFrame:
    """How discrimination and calibration of every model change per unit of distance.

    Rows without a distance are left out. Where cases or controls are too few for intervals, values stand
    without.

    Args:
        risk_set: All rows.
        distance: Of each row, NaN where it is not known.
        resamples: Drawn from the risk set's subjects or families, and maybe others beside.

    Returns:
        A frame of :data:`proband.evaluate.tables.DISTANCE`; empty where fewer than
        :data:`LEAST_WITH_DISTANCE` subjects have a distance, or all have the same.
    """
    known = np.isfinite(distance)
    part, mine = risk_set.part(known), distance[known]
    if part.counts[0] < LEAST_WITH_DISTANCE or np.ptp(mine) == 0:
        return DISTANCE.empty()
    place = {
        "outcome": part.outcome, "horizon_years": part.horizon_years,
        "num_subjects": part.counts[0], "num_cases": part.counts[1],
    }  # fmt: skip
    obstacle = part.obstacle()
    found = {} if obstacle else _lines(part, mine, resamples)
    rows = []
    for model in part.risks:
        for metric in (AUROC, SLOPE, LOG_ODDS):
            line = found.get((model, metric), np.full((1, 2), np.nan))
            rows.append(place | {"model": model, "metric": metric} | _row(line, part, obstacle))
    return pl.DataFrame(rows, schema=dict(DISTANCE.columns), orient="row")


def _row(line: _Line, part: RiskSet, obstacle: str) -> dict[str, Any]:
    at_centre, change = line[0]
    if not np.isfinite(line[0]).all():
        nothing = dict.fromkeys(("at_centre", "change", "low", "high"))
        return nothing | {"note": obstacle or "not estimable"}
    low, high = interval(line[1:, 1])
    ends = {"low": low, "high": high} if np.isfinite(low) else {"low": None, "high": None}
    note = part.too_few_for_intervals()
    return {"at_centre": float(at_centre), "change": float(change)} | ends | {"note": note}


def _lines(
    part: RiskSet, distance: Float[np.ndarray, " rows"], resamples: Resamples
) -> dict[tuple[str, str], _Line]:
    models = {name: _ByDistance(part, name, distance) for name in part.risks}
    blocks: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    few = bool(part.too_few_for_intervals())
    for weights in resamples.weights(part.clusters, sample_alone=few):
        censoring = Block.of(part, weights).censoring
        for name, model in models.items():
            blocks[name, AUROC].append(model.auroc(censoring))
            blocks[name, SLOPE].append(model.slope(censoring))
            blocks[name, LOG_ODDS].append(model.log_odds(censoring))
    return {key: stack(values) for key, values in blocks.items()}


class _ByDistance:
    """One model's performance as a line over distance; all weights are of the known, censoring included."""

    def __init__(self, part: RiskSet, name: str, distance: Float[np.ndarray, " rows"]) -> None:
        known, weights = part.known, part.censoring
        risk, mine = part.risks[name][known], distance[known]
        case = part.status[known] == CASE
        one, x = np.ones(len(risk)), logit(risk)
        self._case = case
        self._tenths: list[tuple[np.ndarray, float, Ranking]] = [
            (rows, float(mine[rows].mean()), rank(risk[rows], case[rows]))
            for rows in risk_groups(mine, TENTHS)
        ]
        interaction = np.column_stack([one, x, mine, x * mine])
        begin = np.array([0.0, 1.0, 0.0, 0.0])
        beta = fit_logistic(interaction, case, weights, start=begin) if np.ptp(x) > 0 else begin * np.nan
        self._slope = Refit.logistic(interaction, case, beta)
        line = np.column_stack([one, mine])
        self._log_odds = Refit.logistic(line, case, fit_logistic(line, case, weights, x), x)

    def slope(self, weights: Float[np.ndarray, "replicates known"]) -> _Line:
        """b and e of logit P(case) = a + b logit(risk) + c d + e d logit(risk)."""
        return self._slope.coefficients(weights)[:, [1, 3]]

    def log_odds(self, weights: Float[np.ndarray, "replicates known"]) -> _Line:
        """a and c of logit P(case) = a + logit(risk) + c d."""
        return self._log_odds.coefficients(weights)

    def auroc(self, weights: Float[np.ndarray, "replicates known"]) -> _Line:
        """The line through the AUROC within tenths of distance, weighted by how much each tells.

        The weight is n1 n0 / (n1 + n0) of its cases and controls, to which the variance of an AUROC is about
        inverse.
        """
        found = [self._within(weights, rows, ranking) for rows, _, ranking in self._tenths]
        area, weight = (np.array(each).T for each in zip(*found, strict=True))
        weight = np.where(np.isfinite(area), weight, 0.0)
        area, at = np.nan_to_num(area), np.array([mean for _, mean, _ in self._tenths])
        total = np.where(weight.sum(axis=1) > 0, weight.sum(axis=1), np.nan)
        mean_at, mean_area = (weight * at).sum(axis=1) / total, (weight * area).sum(axis=1) / total
        apart = at - mean_at[:, None]
        spread = (weight * apart**2).sum(axis=1)
        change = (weight * apart * area).sum(axis=1) / np.where(spread > 0, spread, np.nan)
        return np.column_stack([mean_area - change * mean_at, change])

    def _within(
        self, weights: np.ndarray, rows: np.ndarray, ranking: Ranking
    ) -> tuple[np.ndarray, np.ndarray]:
        """AUROC within a tenth, and its weight."""
        mine = np.take(weights, rows, axis=1)
        cases = mine @ self._case[rows].astype(float)
        total = mine.sum(axis=1)
        tells = cases * (total - cases) / np.where(total > 0, total, 1.0)
        return auroc_and_auprc(ranking, mine)[0], tells
