"""Risks of scenarios beside those of the subjects as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from proband.core.schema import PLAUSIBILITY, SCENARIO_FOLDS, SCENARIOS
from proband.forecast.estimators.risks import jackknife
from proband.forecast.risk import Points
from proband.forecast.scenario.made import Made, make
from proband.forecast.scenario.plausibility import Sample, space_of, summaries
from proband.forecast.scenario.resolve import Resolved
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable


@dataclass(frozen=True)
class Answer:
    """Risks of points.

    Attributes:
        risk: By outcome and horizon.
        paths: What each path contributes to them, of each point; none in closed form.
        by_fold: In closed form, risks of a fit without each fold of the train people.
    """

    risk: Float64[np.ndarray, "points outcomes horizons"]
    paths: Sequence[Float64[np.ndarray, "_ outcomes horizons"]] | None = None
    by_fold: Float64[np.ndarray, "folds points outcomes horizons"] | None = None

    @classmethod
    def of_fit(
        cls,
        risk: Float[Tensor, "points outcomes horizons"],
        by_fold: Float[Tensor, "folds points outcomes horizons"],
    ) -> Answer:
        """In closed form."""
        return cls(risk.double().numpy(), by_fold=by_fold.double().numpy())


Answers = Callable[[TokenStore, Mapping[str, ModalityTable], Points], Answer]
Prevalence = Callable[[Int[np.ndarray, " events"], Int[np.ndarray, " events"]], Bool[np.ndarray, " outcomes"]]
"""From tokens and minutes of a record: the outcomes it has had."""


@dataclass(frozen=True)
class Compared:
    """What scenarios are made of, and compared with.

    Attributes:
        scenarios: Them.
        sample: Train histories.
        outcomes: Names of the outcomes.
        horizons_years: Horizons of the answers.
        task_horizons: Those of them that are reported.
    """

    scenarios: tuple[Resolved, ...]
    sample: Sample
    outcomes: tuple[str, ...]
    horizons_years: tuple[float, ...]
    task_horizons: frozenset[float]


def write_comparisons(
    what: Compared,
    files: tuple[Path, Path, Path, Path | None],
    store: TokenStore,
    tables: Mapping[str, ModalityTable],
    points: Points,
    prevalence: Prevalence,
    baseline: Answer,
    answers: Answers,
) -> None:
    """Write scenarios' risks and how plausible their histories are.

    Args:
        what: The scenarios.
        files: For schema.SCENARIOS at the task's horizons, schema.PLAUSIBILITY, schema.SCENARIO_FOLDS, and if
            wanted schema.SCENARIOS at all horizons.
        store: The records.
        tables: Modalities.
        points: Prediction points.
        prevalence: Outcomes that a record has had.
        baseline: Risks of the points as they are.
        answers: Gives risks of points of another store, with the random numbers of the same points.
    """
    risks, plausible, folds = [SCENARIOS.empty()], [PLAUSIBILITY.empty()], [SCENARIO_FOLDS.empty()]
    for scenario in what.scenarios:
        made = make(scenario, store, tables, points)
        prevalent = np.array(
            [prevalence(*made.store.record(at)) for at in range(len(made.index))],
            dtype=bool,
        ).reshape(len(made.index), len(what.outcomes))
        changed = made.points(points, prevalent)
        answer = answers(made.store, made.tables, changed) if len(made.index) else None
        risks.append(_rows(what, scenario.name, points, made, changed, baseline, answer))
        if answer is not None:
            folds.append(_by_fold(what, scenario.name, made, changed, baseline, answer))
        plausible.append(_plausibility(what, scenario.name, store, points, made))
    order = ["scenario", "subject_id", "prediction_time"]
    table = pl.concat(risks).sort(*order, "outcome", "horizon_years")
    SCENARIOS.write(table.filter(pl.col("horizon_years").is_in(what.task_horizons)), files[0])
    PLAUSIBILITY.write(pl.concat(plausible).sort(*order), files[1])
    SCENARIO_FOLDS.write(pl.concat(folds).filter(pl.col("horizon_years").is_in(what.task_horizons)), files[2])
    if files[3] is not None:
        SCENARIOS.write(table, files[3])


def _rows(
    what: Compared,
    name: str,
    points: Points,
    made: Made,
    changed: Points,
    baseline: Answer,
    answer: Answer | None,
) -> pl.DataFrame:
    """Rows of schema.SCENARIOS; who has an outcome, in the scenario or without it, gets none."""
    risk, error = baseline.risk.copy(), np.zeros_like(baseline.risk)
    of_fit = np.full_like(risk, np.nan if baseline.by_fold is None else 0.0)
    is_changed, had_it = np.zeros(len(points.rows), dtype=bool), points.prevalent.copy()
    if answer is not None:
        risk[made.index], is_changed[made.index] = answer.risk, True
        had_it[made.index] = changed.prevalent
        error[made.index] = _errors(baseline, answer, made)
        of_fit[made.index] = _errors_of_fit(baseline, answer, made)
    point, outcome, horizon = np.nonzero(np.broadcast_to(~had_it[:, :, None], risk.shape))
    at = (point, outcome, horizon)
    return (
        points.frame[point]
        .with_columns(
            pl.lit(name).alias("scenario"),
            pl.Series("outcome", np.asarray(what.outcomes)[outcome], pl.String),
            pl.Series("horizon_years", np.asarray(what.horizons_years)[horizon], pl.Float64),
            pl.Series("is_changed", is_changed[point], pl.Boolean),
            pl.Series("risk_baseline", baseline.risk[at], pl.Float64),
            pl.Series("risk", risk[at], pl.Float64),
            pl.Series("difference", risk[at] - baseline.risk[at], pl.Float64),
            pl.Series("standard_error", error[at], pl.Float64),
            pl.Series("fit_error", of_fit[at], pl.Float64).fill_nan(None),
        )
        .select(*SCENARIOS.columns)
    )


def _errors(baseline: Answer, answer: Answer, made: Made) -> Float64[np.ndarray, "changed outcomes horizons"]:
    """Monte-Carlo standard errors of the differences: paths of one number have the same random numbers."""
    if answer.paths is None or baseline.paths is None:
        return np.zeros_like(answer.risk)
    found = []
    for place, own in zip(made.index, answer.paths, strict=True):
        other = baseline.paths[place]
        number = min(len(own), len(other))
        found.append((own[:number] - other[:number]).std(axis=0, ddof=1) / np.sqrt(number))
    return np.stack(found)


def _errors_of_fit(
    baseline: Answer, answer: Answer, made: Made
) -> Float64[np.ndarray, "changed outcomes horizons"]:
    """Errors of the fit of the differences, both risks without the same fold; NaN of sampled paths."""
    if answer.by_fold is None or baseline.by_fold is None:
        return np.full_like(answer.risk, np.nan)
    return jackknife(torch.from_numpy(answer.by_fold - baseline.by_fold[:, made.index])).numpy()


def _by_fold(
    what: Compared,
    name: str,
    made: Made,
    changed: Points,
    baseline: Answer,
    answer: Answer,
) -> pl.DataFrame:
    """Rows of schema.SCENARIO_FOLDS; none of sampled paths, and of outcomes whose folds are not known."""
    if answer.by_fold is None or baseline.by_fold is None:
        return SCENARIO_FOLDS.empty()
    counts = ~changed.prevalent[:, :, None]
    difference = np.where(counts, answer.by_fold - baseline.by_fold[:, made.index], 0.0).sum(axis=1)
    fold, outcome, horizon = np.nonzero(counts.any(axis=0) & np.isfinite(difference))
    return pl.DataFrame(
        {
            "scenario": pl.Series([name] * len(fold), dtype=pl.String),
            "outcome": pl.Series(np.asarray(what.outcomes)[outcome], dtype=pl.String),
            "horizon_years": np.asarray(what.horizons_years, dtype=float)[horizon],
            "fold": fold,
            "difference": difference[fold, outcome, horizon],
        },
        schema=SCENARIO_FOLDS.columns,
    )


def _plausibility(what: Compared, name: str, store: TokenStore, points: Points, made: Made) -> pl.DataFrame:
    """Rows of schema.PLAUSIBILITY, of points whose record is changed."""
    at = np.flatnonzero(made.rereads)
    if not len(at):
        return PLAUSIBILITY.empty()
    space, old = space_of(store, what.sample), points.take(made.index[at])
    ids, start = store.subject_ids[old.rows], old.start.astype(np.int64)
    distances = {
        "_baseline": space.distance(summaries(store, old.rows.astype(np.int64), start), ids),
        "": space.distance(summaries(made.store, at.astype(np.int64), start), ids),
    }
    columns = {}
    for suffix, distance in distances.items():
        columns[f"distance{suffix}"] = pl.Series(distance, dtype=pl.Float64)
        columns[f"share_beyond{suffix}"] = pl.Series(space.share_beyond(distance), dtype=pl.Float64)
    frame = old.frame.with_columns(pl.lit(name).alias("scenario"), **columns)
    return frame.select(*PLAUSIBILITY.columns)
