"""Whether a score's effect differs between people: risk by decile of the score within bands.

Bands are of age, sex, record length and a measured value; the score is the outcome's own. Beside the mean
risk of the model stand the cumulative incidence observed and, on a synthetic biobank, the mean true risk; and
for each band the log hazard ratio per standard deviation of the score in all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Float32, Float64, Int

from proband.core.units import MINUTES_PER_YEAR
from proband.evaluate.groups.members import age_band, thirds
from proband.evaluate.metrics.censoring import aalen_johansen
from proband.explain.alignment.phewas import LEAST_CASES, cox_by_score
from proband.explain.attribution.standard import Standard, standardised
from proband.explain.inputs import Asked
from proband.explain.population import NUM_GROUPS, followed, had_within_gap, shown_score
from proband.explain.tables import INTERACTION, INTERACTION_EFFECTS
from proband.tokens.history.summary import SummaryLayout, summarise
from proband.tokens.modalities.modality import GENOME

AGE, SEX, RECORD, VALUE = "age", "sex", "record length", "value"
_KEY = ["subject_id", "prediction_time"]
_LEAST_RISK, _PASSES, _LARGEST_STEP, _CLOSE, _HARDLY = 1e-9, 100, 0.5, 1e-6, 1e-9
_LEAST_SHARE = 0.5
"""Share of the predictions that must have a measured value for its thirds to be looked at."""


@dataclass(frozen=True)
class _Cell:
    """Predictions of one outcome: what the model and the truth say of them, and what followed."""

    risk: Float64[np.ndarray, " n"]
    truth: Float64[np.ndarray, " n"] | None
    time: Float64[np.ndarray, " n"]
    event: Int[np.ndarray, " n"]
    z: Float64[np.ndarray, " n"]
    beside: Float64[np.ndarray, "n covariates"]
    decile: Int[np.ndarray, " n"]

    def take(self, rows: np.ndarray) -> _Cell:
        """Some of them."""
        return replace(self, **{name: one[rows] for name, one in vars(self).items() if one is not None})


def interaction_frames(
    asked: Asked, standard: Standard, genomes: pl.DataFrame, truth: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of :data:`~proband.explain.tables.INTERACTION` and of ``INTERACTION_EFFECTS``.

    Args:
        asked: The question.
        standard: Scores of the train split.
        genomes: A frame of :data:`~proband.explain.tables.GENOMES`.
        truth: True risks of a synthetic biobank, schema.RISK.
    """
    z = standardised(asked.head, GENOME, asked.tables[GENOME], asked.points.rows)
    percentile, correlation = standard.percentiles(z), standard.correlations()
    bands, values = _bands(asked), _values(asked)
    horizon = asked.horizons_years[-1]
    numbered = asked.points.frame.with_row_index("point")
    rows: list[tuple] = []
    effects: list[tuple] = []
    for outcome, name in enumerate(asked.outcomes):
        found = genomes.filter(outcome=name, horizon_years=horizon)
        found = found.join(numbered, on=_KEY, maintain_order="left")
        point = found["point"].to_numpy().astype(np.int64)
        if not len(point):
            continue
        score = shown_score(asked, standard, outcome, correlation)
        decile = np.minimum(percentile[point, score] * NUM_GROUPS / 100, NUM_GROUPS - 1).astype(int)
        cell = _Cell(
            found["risk"].to_numpy(), _true(truth, found, name, horizon), *followed(asked, point, outcome),
            z[point, score], _beside(asked, point), decile,
        )  # fmt: skip
        own = bands | _value_bands(values, found["risk_without"].to_numpy(), point)
        place = (name, horizon, standard.names[score])
        for by, labels in own.items():
            mine = labels if len(labels) == len(point) else labels[point]
            for band in sorted({label for label in mine if label is not None}):
                chosen = np.flatnonzero(
                    (mine == band) & ~had_within_gap(asked.gap_years, cell.time, cell.event)
                )
                part = cell.take(chosen)
                rows += [(*place, by, band, *line) for line in _by_decile(part, horizon)]
                effects.append((*place, by, band, *_effects(part, horizon)))
    return (
        pl.DataFrame(rows, schema=dict(INTERACTION.columns), orient="row"),
        pl.DataFrame(effects, schema=dict(INTERACTION_EFFECTS.columns), orient="row"),
    )


def _bands(asked: Asked) -> dict[str, np.ndarray]:
    """Bands that are the same for every outcome, a label of each point; None where not known."""
    points, store = asked.points, asked.store
    length = store.history_lengths(points.rows, points.start)
    frame = pl.DataFrame(
        {"age": points.start / MINUTES_PER_YEAR, "female": store.female[points.rows], "length": length}
    )
    sex = pl.col("female").replace_strict({1.0: "female", 0.0: "male"}, default=None, return_dtype=pl.String)
    labels = frame.select(age_band("age"), sex.alias("sex"), thirds("length"))
    names = {AGE: "age", SEX: "sex", RECORD: "length"}
    return {by: np.array(labels[name].to_list(), dtype=object) for by, name in names.items()}


def _values(asked: Asked) -> dict[str, Float32[np.ndarray, " points"]]:
    """Mean place among value bins of every code with values, of each point; NaN without one."""
    layout, points = SummaryLayout.of(asked.store.vocabulary), asked.points
    features = summarise(asked.store, layout, points.rows.astype(np.int64), points.start.astype(np.int64))
    row = np.repeat(np.arange(len(points.rows)), np.diff(features.indptr))
    found = {}
    for code in np.flatnonzero(layout.valued >= 0):
        feature = layout.first_value + layout.valued[code]
        own = features.indices == feature
        place = np.full(len(points.rows), np.nan, dtype=np.float32)
        place[row[own]] = features.values[own]
        found[layout.codes[code]] = place
    return found


def _value_bands(
    values: Mapping[str, Float32[np.ndarray, " points"]],
    risk: Float64[np.ndarray, " n"],
    point: Int[np.ndarray, " n"],
) -> dict[str, np.ndarray]:
    """Thirds of the value that goes most, by rank, with the model's risk without genome; none without one."""
    best, found = 0.0, {}
    rank = pl.Series(risk).rank().to_numpy()
    for code, place in values.items():
        own = place[point]
        known = np.isfinite(own)
        if known.mean() < _LEAST_SHARE or own[known].std() == 0 or rank[known].std() == 0:
            continue
        size = abs(float(np.corrcoef(pl.Series(own[known]).rank().to_numpy(), rank[known])[0, 1]))
        if size > best:
            labels = pl.DataFrame({"value": own}).fill_nan(None).select(thirds("value"))["value"]
            best, found = size, {f"{VALUE} of {code}": np.array(labels.to_list(), dtype=object)}
    return found


def _true(truth: pl.DataFrame | None, rows: pl.DataFrame, outcome: str, horizon: float) -> np.ndarray | None:
    """True risks of rows; None where not all are known."""
    if truth is None:
        return None
    own = truth.filter(outcome=outcome, horizon_years=horizon).select(*_KEY, pl.col("risk").alias("true"))
    joined = rows.join(own, on=_KEY, how="left", maintain_order="left")["true"]
    return None if joined.null_count() else joined.to_numpy()


def _beside(asked: Asked, point: Int[np.ndarray, " n"]) -> Float64[np.ndarray, "n three"]:
    """Age, its square and sex (unknown in the middle), standardised."""
    age = asked.points.start[point] / MINUTES_PER_YEAR
    age = (age - age.mean()) / (age.std() or 1.0)
    female = np.nan_to_num(asked.store.female[asked.points.rows[point]], nan=0.5) - 0.5
    return np.column_stack([age, age**2, female]).astype(np.float64)


def _by_decile(cell: _Cell, horizon: float) -> Iterator[tuple]:
    for decile in range(NUM_GROUPS):
        own = np.flatnonzero(cell.decile == decile)
        if not len(own):
            continue
        part = cell.take(own)
        observed = aalen_johansen(part.time, part.event, horizon, np.ones((1, len(own))))
        cases = int(((part.event == 1) & (part.time <= horizon)).sum())
        truth = None if part.truth is None else float(part.truth.mean())
        yield decile + 1, len(own), cases, float(part.risk.mean()), float(observed[0]), truth


def _effects(cell: _Cell, horizon: float) -> tuple:
    """Predictions, cases, and the score's effect: the model's, of a Cox model with its error, the true."""
    time, event = np.minimum(cell.time, horizon), (cell.event == 1) & (cell.time <= horizon)
    cases = int(event.sum())
    cox: tuple[float | None, float | None] = (None, None)
    if cases >= LEAST_CASES and cell.z.std() > 0:
        found = cox_by_score(cell.z[:, None], cell.beside, time, event)
        cox = float(found.log_hazard_ratio[0]), float(found.standard_error[0])
    truth = None if cell.truth is None else implied(cell.truth, cell.z, cell.beside)
    return len(cell.z), cases, implied(cell.risk, cell.z, cell.beside), *cox, truth


def implied(
    risk: Float64[np.ndarray, " n"], z: Float64[np.ndarray, " n"], beside: Float64[np.ndarray, "n covariates"]
) -> float | None:
    """Log hazard ratio of a score that risks imply: what a regression of their outcomes would tend to.

    log(−log(1 − risk)) = level + slope z + covariates, by weighted least squares of binomial
    quasi-likelihood, iterated.

    Args:
        risk: Risks.
        z: The score.
        beside: Covariates.

    Returns:
        The slope; None for fewer rows than terms twice over, without variation, or where it does
        not settle.

    >>> z = np.linspace(-2, 2, 200)
    >>> round(implied(1 - np.exp(-0.1 * np.exp(0.3 * z)), z, np.zeros((200, 0))), 4)
    0.3
    """
    if not len(z):
        return None
    terms = np.column_stack([z, beside])
    spread = terms.std(axis=0)
    if not spread[0] or len(z) < 2 * (1 + (spread > 0).sum()):
        return None
    scaled = (terms - terms.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    design = np.column_stack([np.ones(len(z)), scaled])
    risk = np.clip(risk, _LEAST_RISK, 1 - _LEAST_RISK)
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(-np.log1p(-risk.mean()))
    for _ in range(_PASSES):
        hazard = np.exp(np.clip(design @ beta, -20, 3))
        mean, rate = -np.expm1(-hazard), hazard * np.exp(-hazard)
        weight = rate**2 / (mean * (1 - mean))
        gradient = design.T @ (weight * (risk - mean) / rate)
        information = (design.T * weight) @ design + _HARDLY * np.eye(len(beta))
        step = np.clip(np.linalg.solve(information, gradient), -_LARGEST_STEP, _LARGEST_STEP)
        beta = beta + step
        if np.abs(step).max() < _CLOSE:
            break
    else:
        return None
    return float(beta[1] / spread[0])
