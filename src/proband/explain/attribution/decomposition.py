"""Parts, codes and scores of the risks of prediction points, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from jaxtyping import Float64, Int

from proband.core.running.progress import track
from proband.core.statistics.incidence import MONTHS, OLDEST
from proband.explain.attribution.parts import AGE_SEX, BY_TIME, DEATH, RECORD, log_ratio_parts, part_names
from proband.explain.attribution.record import AGE_SEX_TERMS, NOT_HAD, OTHER_CODES, RecordTerms, record_terms
from proband.explain.attribution.shapley import Points, Segments, segments, shapley_points
from proband.explain.attribution.standard import Standard
from proband.explain.inputs import Asked
from proband.explain.tables import CODES, PARTS, SCORES
from proband.model.config import BIN_EDGES
from proband.model.onset.head import sex_rows
from proband.model.onset.inputs import Query
from proband.model.onset.queries import Queries
from proband.model.onset.terms import is_given
from proband.tokens.history.summary import SummaryLayout

_AT_ONCE = 512
_TINY = 1e-12


@dataclass(frozen=True)
class Decomposed:
    """Some points taken apart.

    Attributes:
        index: Which points.
        query: What is known of them.
        parts: Log ratio of each part of the outcomes, by time ahead.
        log_rate: Log hazard per year by age and sex just before each horizon.
        points: In risk.
    """

    index: Int[np.ndarray, " n"]
    query: Query
    parts: Float64[np.ndarray, "parts n outcomes bins"]
    log_rate: Float64[np.ndarray, "n outcomes horizons"]
    points: Points


def decomposed(asked: Asked, queries: Queries) -> Iterator[Decomposed]:
    """The risks of all points taken apart, some at a time."""
    starts = range(0, len(queries), _AT_ONCE)
    for begin in track(starts, "Taking risks apart"):
        index = np.arange(begin, min(begin + _AT_ONCE, len(queries)))
        yield decompose(asked, index, queries.batch(index))


@torch.no_grad()
def decompose(asked: Asked, index: Int[np.ndarray, " n"], query: Query) -> Decomposed:
    """Take the risks of some points apart."""
    head, tasks = asked.head, list(asked.tasks)
    found = log_ratio_parts(head, query)
    parts = np.stack([part[:, tasks].double().numpy() for part in found.values()])
    where = segments(query.age.double().numpy(), asked.times)
    rate = rates_of(asked, tasks, query, where)
    death = np.zeros_like(rate)
    ratio = np.zeros((len(index), len(BIN_EDGES)))
    if asked.death is not None:
        death = rates_of(asked, [asked.death], query, where) * asked.competes[None, :, None]
        ratio = torch.stack([part[:, asked.death] for part in found.values()]).double().sum(dim=0).numpy()
    points = shapley_points(where, rate, parts, death, ratio, bool(asked.gap_years))
    return Decomposed(index, query, parts, _log_rate_before(asked, query), points)


def rates_of(asked: Asked, tasks: list[int], query: Query, where: Segments) -> np.ndarray:
    """Hazard per year by age and sex, (n, tasks, segments)."""
    row, log_rates = sex_rows(query.female).numpy(), asked.head.log_rate.double().numpy()
    return np.exp(log_rates[np.array(tasks)[None, :, None], row[:, None, None], where.year[:, None, :]])


def _log_rate_before(asked: Asked, query: Query) -> np.ndarray:
    month = np.floor(query.age.double().numpy() * MONTHS)
    ahead = np.ceil(np.array(asked.horizons_years) * MONTHS - 1e-6) - 1
    year = np.clip(((month[:, None] + 0.5 + ahead) / MONTHS).astype(np.int64), 0, OLDEST - 1)
    row, log_rates = sex_rows(query.female).numpy()[:, None, None], asked.head.log_rate.double().numpy()
    return log_rates[np.array(asked.tasks)[None, :, None], row, year[:, None, :]]


def bins_before(horizons_years: tuple[float, ...]) -> Int[np.ndarray, " horizons"]:
    """Bin of the time ahead just before each horizon."""
    return np.searchsorted(np.array(BIN_EDGES[1:]), np.array(horizons_years) - 1e-9, side="right")


def parts_frame(asked: Asked, one: Decomposed) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.PARTS`; who had the outcome before gets none."""
    names = (AGE_SEX, *(name for name in part_names(asked.head) if name != BY_TIME), DEATH)
    log_hazard = np.moveaxis(_joined(one.parts)[..., bins_before(asked.horizons_years)], 0, -1)
    nothing = np.full((*log_hazard.shape[:-1], 1), np.nan)
    log_hazard = np.concatenate([one.log_rate[..., None], log_hazard, nothing], axis=-1)
    points = np.concatenate(
        [one.points.age_sex[..., None], np.moveaxis(_joined(one.points.points), 0, -1)], axis=-1
    )
    asks = np.broadcast_to(~asked.prevalent[one.index][:, :, None, None], points.shape).reshape(-1)
    at = np.unravel_index(np.flatnonzero(asks), points.shape)
    frame = keys_of(asked, one.index[at[0]], at[1]).with_columns(
        pl.Series("horizon_years", np.array(asked.horizons_years)[at[2]], pl.Float64),
        pl.Series("part", np.array(names)[at[3]], pl.String),
        pl.Series("log_hazard", log_hazard.reshape(-1)[asks]).fill_nan(None),
        pl.Series("risk_points", points.reshape(-1)[asks]),
    )
    return frame.select(*PARTS.columns)


def _joined(parts: np.ndarray) -> np.ndarray:
    """Parts in which what the record changes with the time ahead is with the rest of the record."""
    return np.concatenate([parts[:2].sum(axis=0, keepdims=True), parts[2:]])


def keys_of(asked: Asked, point: np.ndarray, outcome: np.ndarray) -> pl.DataFrame:
    """subject_id, prediction_time and outcome of rows."""
    names = pl.Series("outcome", np.array(asked.outcomes)[outcome], pl.String)
    return asked.points.frame[point].with_columns(names)


def codes_frame(asked: Asked, layout: SummaryLayout, one: Decomposed, top: int) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.CODES`."""
    last = int(bins_before(asked.horizons_years)[-1])
    terms = record_terms(asked.head, layout, one.query, list(asked.tasks), last)
    points = _points_of_terms(asked, layout, one, terms, last)
    rows = [
        _listed(terms, points, at, int(outcome), top, len(layout.codes))
        for at in range(len(one.index))
        for outcome in np.flatnonzero(~asked.prevalent[one.index[at]])
    ]
    if not rows:
        return CODES.empty()
    point, outcome, rank, code, value, risk_points = (
        np.concatenate(column) for column in zip(*rows, strict=True)
    )
    names = np.array([*layout.codes, OTHER_CODES, NOT_HAD, AGE_SEX_TERMS])
    frame = keys_of(asked, one.index[point], outcome).with_columns(
        pl.Series("rank", rank, pl.Int64),
        pl.Series("code", names[code], pl.String),
        pl.Series("log_hazard", value),
        pl.Series("risk_points", risk_points),
    )
    return named(frame, "code", asked.names.codes).select(*CODES.columns)


def _points_of_terms(
    asked: Asked, layout: SummaryLayout, one: Decomposed, terms: RecordTerms, last: int
) -> RecordTerms:
    """Terms of codes in points of risk by the last horizon.

    What fades as a whole and what changes with the time ahead have one course over time each, whoever's code:
    a code has the share of either one's points that it has of its log hazard. The two together may cross 0
    at any time, so that a share of their sum would mean nothing.
    """
    tasks, parts = list(asked.tasks), part_names(asked.head)
    tau = asked.head.tau.double()
    far = int(tau.abs().argmax())  # where the change with time is largest, and never 0
    late = record_terms(asked.head, layout, one.query, tasks, far, by_time_alone=True)
    share = float(tau[last] / tau[far])
    slopes = [
        _slope(one.points.points[parts.index(part), :, :, -1], one.parts[parts.index(part), :, :, ahead])
        for part, ahead in ((RECORD, last), (BY_TIME, far))
    ]
    row = np.repeat(np.arange(len(terms.bounds) - 1), np.diff(terms.bounds))

    def points(name: str, rows: np.ndarray | slice) -> np.ndarray:
        by_time = getattr(late, name)
        fades = getattr(terms, name) - share * by_time
        found: np.ndarray = fades * slopes[0][rows] + by_time * slopes[1][rows]
        return found

    every = slice(None)
    return replace(
        terms, values=points("values", row), if_never=points("if_never", row),
        not_had=points("not_had", every), age_sex=points("age_sex", every),
    )  # fmt: skip


def _listed(
    terms: RecordTerms, points: RecordTerms, at: int, outcome: int, top: int, num_codes: int
) -> tuple[np.ndarray, ...]:
    """Point, outcome, rank, code, value and points of risk of what is listed of one risk."""
    here = slice(terms.bounds[at], terms.bounds[at + 1])
    order = np.argsort(-np.abs(terms.values[here, outcome]), kind="stable")

    def listed(of: RecordTerms) -> np.ndarray:
        own = of.values[here, outcome]
        beside = [own[order[top:]].sum(), of.not_had[at, outcome], of.age_sex[at, outcome]]
        return np.concatenate([own[order[:top]], beside])

    value = listed(terms)
    number = len(value)
    code = np.concatenate([terms.codes[here][order[:top]], num_codes + np.arange(number - len(order[:top]))])
    rank = np.arange(1, number + 1)
    return np.full(number, at), np.full(number, outcome), rank, code, value, listed(points)


def _slope(points: np.ndarray, log_hazard: np.ndarray) -> np.ndarray:
    """Points of risk per unit of log hazard of a part; 0 where it is nothing."""
    usable = np.abs(log_hazard) > _TINY
    return np.divide(points, log_hazard, out=np.zeros_like(points), where=usable)


def named(frame: pl.DataFrame, column: str, names: Mapping[str, str]) -> pl.DataFrame:
    """The frame with a column ``name``: what codes or scores are called, null where it is not known."""
    found = pl.col(column).replace_strict(dict(names) or {"": ""}, default=None, return_dtype=pl.String)
    return frame.with_columns(pl.when(found != "").then(found).alias("name"))


def scores_frame(asked: Asked, standard: Standard, one: Decomposed, top: int) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.SCORES`, of a modality's values, its level left out."""
    linear = asked.head.linear_of(standard.modality)
    values = one.query.modalities[standard.modality]
    given = is_given(values).numpy()
    z = linear.standardised(values).double().numpy()
    tasks = list(asked.tasks)
    beta = linear.beta[:, tasks].double().numpy()
    factor = linear.factor(one.query.age)[:, tasks].double().numpy()
    part = part_names(asked.head).index(standard.modality)
    slope = _slope(one.points.points[part, :, :, -1], one.parts[part, :, :, 0])
    asks = given[:, None] & ~asked.prevalent[one.index]
    point, outcome = np.nonzero(asks)
    effect = beta.T[outcome] * factor[point, outcome][:, None]
    term = z[point] * effect
    kept = np.argsort(-np.abs(term), axis=1, kind="stable")[:, : min(top, term.shape[1])]
    rank = np.broadcast_to(np.arange(1, kept.shape[1] + 1), kept.shape).reshape(-1)
    row, score = np.repeat(np.arange(len(point)), kept.shape[1]), kept.reshape(-1)
    frame = keys_of(asked, one.index[point[row]], outcome[row]).with_columns(
        pl.Series("rank", rank, pl.Int64),
        pl.lit(standard.modality).alias("modality"),
        pl.Series("score", np.array(standard.names)[score], pl.String),
        pl.Series("value_sd", z[point[row], score]),
        pl.Series("percentile", standard.percentiles(z[point])[row, score]),
        pl.Series("log_hazard_ratio_per_sd", effect[row, score]),
        pl.Series("log_hazard", term[row, score]),
        pl.Series("risk_points", term[row, score] * slope[point, outcome][row]),
    )
    return named(frame, "score", asked.names.scores).select(*SCORES.columns)
