"""Who is asked about what: prediction points, outcome tokens, and the RiskTable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Int

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.progress import say
from proband.core.schema import RISK
from proband.core.units import MICROSECONDS_PER_MINUTE
from proband.ehr.cohort import prediction_times
from proband.ehr.outcomes import CodeSet, Task
from proband.forecast.estimators import Risks
from proband.tokens.dataset import TokenStore
from proband.tokens.vocabulary import Vocabulary


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


def outcome_tokens(vocabulary: Vocabulary, task: Task) -> dict[str, np.ndarray]:
    """Tokens of each outcome of a task.

    Raises:
        ConfigError: No code of an outcome is in the vocabulary, and it may not be absent; names near matches.
    """
    codes = vocabulary.base_codes()
    found = {}
    for name, wanted in task.outcomes.items():
        chosen = set(wanted.select(codes))
        if not chosen and not wanted.may_be_absent:
            raise _unknown_outcome(name, wanted, vocabulary)
        if not chosen:
            say(f"forecast: the model knows no code of {name}; its risks are 0")
        found[name] = np.array([code in chosen for code in codes])
        rolled = wanted.select(vocabulary.rolled)
        if rolled:
            say(f"forecast: {len(rolled)} rare codes of {name} rolled up and do not count, first {rolled[0]}")
    return found


def _unknown_outcome(name: str, wanted: CodeSet, vocabulary: Vocabulary) -> ConfigError:
    asked = [*wanted.codes, *wanted.prefixes] or [wanted.regex or ""]
    rare = wanted.select(vocabulary.rolled)
    remedy = near_matches(asked[0], vocabulary.base_codes()) or "compare with codes in vocabulary.json"
    if rare:
        remedy = (
            f"{len(rare)} of its codes were too rare and rolled up, first {rare[0]}: "
            "tokenise with a lower --min-subjects and train again"
        )
    return ConfigError(
        "outcome codes are not in the model's vocabulary",
        where=f"outcome {name}",
        found=", ".join(asked[:5]),
        remedy=remedy,
    )


def prediction_points(
    store: TokenStore, task: Task, split: str, outcomes: Mapping[str, np.ndarray]
) -> Points:
    """The task's prediction points among a split's subjects.

    Raises:
        DataError: No subject of the split is under follow-up at a prediction time.
    """
    subjects = store.subjects.with_row_index("row")[store.rows_of(split)]
    times = prediction_times(subjects, task).join(
        subjects.select("subject_id", "row", "birth_time"), on="subject_id", maintain_order="left"
    )
    if times.is_empty():
        remedy = "check the task's prediction times and washout against the subjects' entry and exit"
        raise DataError(
            "nobody is under follow-up at the prediction times", where=f"split {split}", remedy=remedy
        )
    since_birth = (pl.col("prediction_time") - pl.col("birth_time")).dt.total_microseconds()
    start = times.select(since_birth // MICROSECONDS_PER_MINUTE).to_series().to_numpy()
    rows = times["row"].to_numpy().astype(np.int64)
    sets = np.stack(list(outcomes.values()))
    prevalent = np.zeros((len(rows), len(sets)), dtype=bool)
    for at, (row, until) in enumerate(zip(rows, start, strict=True)):
        tokens, minutes = store.record(int(row))
        prevalent[at] = sets[:, tokens[minutes <= until]].any(axis=1)
    return Points(rows, start.astype(np.int64), times.select("subject_id", "prediction_time"), prevalent)


def risk_table(
    points: Points, risks: Risks, outcomes: Sequence[str], horizons_years: Sequence[float], model: str
) -> pl.DataFrame:
    """Rows of schema.RISK for ``points``; prevalent cases are left out. Horizons are ascending."""
    num_points, num_outcomes, num_horizons = len(points.rows), len(outcomes), len(horizons_years)
    point = np.repeat(np.arange(num_points), num_outcomes * num_horizons)
    outcome = np.tile(np.repeat(np.arange(num_outcomes), num_horizons), num_points)
    frame = points.frame[point].with_columns(
        pl.Series("outcome", np.asarray(outcomes)[outcome], pl.String),
        pl.Series("horizon_years", np.tile(horizons_years, num_points * num_outcomes), pl.Float64),
        pl.lit(model).alias("model"),
        *(
            pl.Series(name, getattr(risks, name).reshape(-1).numpy(), pl.Float64)
            for name in ("risk", "standard_error", "unresolved")
        ),
    )
    return frame.filter(~points.prevalent[point, outcome]).select(*RISK.columns)


def outcome_matrix(outcomes: Mapping[str, np.ndarray]) -> torch.Tensor:
    """Outcome sets as one bool tensor (outcomes, vocabulary)."""
    return torch.from_numpy(np.stack(list(outcomes.values())))
