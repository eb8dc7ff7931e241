"""Who is asked about what: prediction points, outcome tokens, and the RiskTable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.core.schema import RISK
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.cohort import never_predicted, person_time, prediction_times
from proband.ehr.named_subjects import check_named
from proband.ehr.outcomes import Task
from proband.forecast.estimators.risks import Risks
from proband.forecast.patterns import TokenPattern, token_patterns
from proband.tokens.dataset import TokenStore

LEAST_OBSERVED = 1 / 3
"""Below this share of person-time observed, a risk rests more on what a model makes of the start of
follow-up than on what it saw of its end."""

_RISK_COLUMNS = {
    "risk": "risk",
    "standard_error": "standard_error",
    "unresolved": "unresolved",
    "risk_low": "low",
    "risk_high": "high",
    "fit_error": "fit_error",
}
"""Columns of the RiskTable and the names of the estimates in them."""


@dataclass(frozen=True)
class Points:
    """Prediction points, one per subject and time.

    Attributes:
        rows: Rows of the tokens folder.
        start: Prediction times in minutes since birth (rounded down).
        frame: subject_id and prediction_time, in the same order.
        prevalent: Whether the outcome happened at or before the prediction time, per outcome.
    """

    rows: Int[np.ndarray, " points"]
    start: Int[np.ndarray, " points"]
    frame: pl.DataFrame
    prevalent: Bool[np.ndarray, "points outcomes"]

    def take(self, index: Int[np.ndarray, " some"]) -> Points:
        """Some of the points."""
        return Points(self.rows[index], self.start[index], self.frame[index], self.prevalent[index])


def prediction_points(
    store: TokenStore,
    task: Task,
    split: str,
    outcomes: Mapping[str, Bool[np.ndarray, "_ vocabulary"]],
    rows: Int[np.ndarray, " rows"] | None = None,
) -> Points:
    """The task's prediction points among a split's subjects.

    Args:
        store: A tokens folder.
        task: The task.
        split: Whose points.
        outcomes: Tokens of each step of each outcome, as
            :func:`~proband.tokens.history.outcomes.outcome_tokens` gives them.
        rows: Rows of the store, of whatever split, instead of the split's.

    Raises:
        DataError: No subject of the split is under follow-up at a prediction time, or none of those that the
            task's own dates are of is in the store.
    """
    subjects = store.follow_up(split) if rows is None else store.follow_up()[rows]
    times = prediction_times(subjects, task).join(
        subjects.select("subject_id", "row", "birth_time"), on="subject_id", maintain_order="left"
    )
    if times.is_empty():
        raise _nobody(store, task, subjects, f"split {split}" if rows is None else "the subjects asked for")
    if task.prediction.file is not None:
        asked = task.prediction.dates.height
        say(f"forecast: {times.height:,} of the {asked:,} dates of the task are in these subjects' follow-up")
    since_birth = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds()
    start = times.select(since_birth // MICROSECONDS_PER_MINUTE).to_series().to_numpy()
    rows = times["row"].to_numpy().astype(np.int64)
    prevalent = _prevalent(store, rows, start, outcomes, token_patterns(task, outcomes))
    return Points(rows, start.astype(np.int64), times.select("subject_id", "prediction_time"), prevalent)


def _nobody(store: TokenStore, task: Task, subjects: pl.DataFrame, where: str) -> DataError:
    """Why none of these subjects has a prediction time.

    Raises:
        DataError: None of those that the task's own dates are of is in the store.
    """
    dated = asked = subjects["subject_id"]
    if task.prediction.file is not None:
        check_named("forecast", task, store.follow_up(), store.folder)
        dated = task.prediction.dates["subject_id"]
    if not asked.is_in(dated.implode()).any():
        found, remedy = "dates of other subjects alone", "ask about those: another split, or --subjects"
        return DataError("none of these subjects has a date", where=where, found=found, remedy=remedy)
    return DataError(
        "nobody is under follow-up at the prediction times",
        where=where,
        found=_reasons(never_predicted(subjects, task)),
        remedy="check the task's prediction times and washout against the subjects' entry and exit",
    )


def _prevalent(
    store: TokenStore,
    rows: Int[np.ndarray, " points"],
    start: Int[np.ndarray, " points"],
    outcomes: Mapping[str, Bool[np.ndarray, "_ vocabulary"]],
    patterns: Mapping[str, TokenPattern],
) -> Bool[np.ndarray, "points outcomes"]:
    """Who has an outcome at or before the prediction time."""
    prevalent = np.zeros((len(rows), len(outcomes)), dtype=bool)
    is_set = np.array([name not in patterns for name in outcomes])
    sets = np.stack([steps[0] for steps in outcomes.values()])[is_set]
    place = np.concatenate([np.flatnonzero(is_set), np.flatnonzero(~is_set)])
    ordered = [patterns[name] for name in outcomes if name in patterns]
    for at, (row, until) in enumerate(zip(rows, start, strict=True)):
        prevalent[at, place] = had(*store.history(int(row), int(until)), sets, ordered)
    return prevalent


def had(
    tokens: Int[np.ndarray, " events"],
    minutes: Int[np.ndarray, " events"],
    sets: Bool[np.ndarray, "sets vocabulary"],
    patterns: Sequence[TokenPattern],
) -> Bool[np.ndarray, " outcomes"]:
    """Whether a history has outcomes: those that are sets of codes, then those that take several events."""
    completed = [pattern.onset(tokens, minutes) is not None for pattern in patterns]
    return np.append(sets[:, tokens].any(axis=1), completed).astype(bool)


def never_asked(store: TokenStore, task: Task, split: str) -> dict[str, int]:
    """How many subjects of a split get no prediction, by reason, for the manifest; printed if any."""
    subjects = store.follow_up(split)
    found = never_predicted(subjects, task)
    if any(found.values()):
        num = f"{sum(found.values()):,} of {subjects.height:,}"
        say(f"forecast: {num} subjects of {split} have no prediction time: {_reasons(found)}")
    return {f"num_subjects_{reason}": number for reason, number in found.items()}


def _reasons(found: Mapping[str, int]) -> str:
    words = {
        "before_entry": "not yet entered",
        "in_washout": "within the washout",
        "after_exit": "left before",
    }
    return ", ".join(f"{found[reason]:,} {word}" for reason, word in words.items())


def observed_shares(store: TokenStore, task: Task) -> dict[str, float]:
    """How much of the time to each horizon the train subjects were observed, for the manifest.

    Prints where less than a share of :data:`LEAST_OBSERVED` was. Empty if no train subject of this tokens
    folder has a prediction time, as in a folder made to apply a model elsewhere.
    """
    if "train" not in store.subjects["split"]:
        return {}
    subjects, shares = store.follow_up("train"), {}
    for horizon in task.horizons_years:
        share, longest = person_time(subjects, task, horizon)
        if np.isnan(share):
            return {}
        shares[f"{horizon:g}"] = round(share, 4)
        if share < LEAST_OBSERVED:
            say(
                f"forecast: only {share:.1%} of train subjects' time within {horizon:g} years was observed "
                f"(longest follow-up {longest:.1f} years): risks at {horizon:g} years are mostly extrapolated"
            )
    return shares


def risk_table(
    points: Points,
    risks: Risks,
    num_paths: Int[np.ndarray, " points"],
    outcomes: Sequence[str],
    horizons_years: Sequence[float],
    model: str,
) -> pl.DataFrame:
    """Rows of schema.RISK for ``points``; prevalent cases are left out. Horizons are ascending."""
    num_points, num_outcomes, num_horizons = len(points.rows), len(outcomes), len(horizons_years)
    point = np.repeat(np.arange(num_points), num_outcomes * num_horizons)
    outcome = np.tile(np.repeat(np.arange(num_outcomes), num_horizons), num_points)
    values = {column: getattr(risks, name).reshape(-1).numpy() for column, name in _RISK_COLUMNS.items()}
    frame = points.frame[point].with_columns(
        pl.Series("outcome", np.asarray(outcomes)[outcome], pl.String),
        pl.Series("horizon_years", np.tile(horizons_years, num_points * num_outcomes), pl.Float64),
        pl.lit(model).alias("model"),
        *(pl.Series(column, value, pl.Float64).fill_nan(None) for column, value in values.items()),
        pl.Series("num_paths", num_paths[point], pl.Int64),
    )
    return frame.filter(~points.prevalent[point, outcome]).select(*RISK.columns, *RISK.optional)
