"""The scan: every code against every outcome and horizon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.running.progress import say
from proband.ehr.labels import OUTCOME
from proband.evaluate.groups.record import MOMENT
from proband.evaluate.leaks.held import LAST_DAY, WINDOWS, Held, codes_held
from proband.evaluate.leaks.rule import (
    AUROC,
    LEAST_AUROC,
    LEAST_SUBJECTS,
    LEAST_VALUE,
    Known,
    judge,
)
from proband.evaluate.metrics.censoring import CASE
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.selection.landmarks import early_enough, end_of_data, landmarks
from proband.evaluate.tables import LEAKS

_MOST_NAMED = 3


@dataclass(frozen=True)
class _Question:
    """An outcome and horizon (None: the end of follow-up), whose labels are known, and which moments these
    are."""

    outcome: str
    horizon_years: float | None
    known: Known
    moment: Int[np.ndarray, " known"]

    @property
    def can_be_answered(self) -> bool:
        """Whether enough people have the rarer label for a code to be named."""
        rarer = self.known.is_case if self.known.rarer_is_case else ~self.known.is_case
        return int(rarer.sum()) >= LEAST_SUBJECTS

    def weights(self, num_moments: int) -> Float[np.ndarray, "moments 2"]:
        """Censoring weights of cases and of others, at every moment."""
        weights = np.zeros((num_moments, 2))
        weights[self.moment, np.where(self.known.is_case, 0, 1)] = self.known.weights
        return weights


def leaks(labels: pl.DataFrame, meds: Path, horizons_years: Sequence[float]) -> pl.DataFrame:
    """Codes that nearly determine an outcome at the time at which it is predicted.

    Labels are those by each horizon, and whether the outcome was seen at all: a code given in retrospect to
    all who have had the outcome by the end of the data does not tell whether it came before the horizon.

    Args:
        labels: A frame of :data:`proband.core.schema.LABELS`, all splits: a leak is of the data and of the
            task, and more people show it.
        meds: MEDS folder.
        horizons_years: Horizons; those by which there are too few cases, others or people followed are left
            out.

    Returns:
        A frame of :data:`proband.evaluate.tables.LEAKS`, without rows where nothing was found.

    Raises:
        DataError: A shard is unusable.
    """
    moments = labels.select(MOMENT).unique().sort(MOMENT)
    questions = [one for one in _questions(labels, moments, horizons_years) if one.can_be_answered]
    rows = []
    if questions:
        held = codes_held(moments, meds)
        rows = [row for window in WINDOWS for row in _found(questions, held, window)]
    frame = pl.DataFrame(rows, schema=dict(LEAKS.columns), orient="row")
    return LEAKS.check(frame.sort("outcome", "horizon_years", "window", "low", "code"), "leaks")


def _questions(
    labels: pl.DataFrame, moments: pl.DataFrame, horizons_years: Sequence[float]
) -> Iterator[_Question]:
    end = end_of_data(labels)
    places = moments.with_row_index("moment").with_columns(pl.col("moment").cast(pl.Int64))
    numbered = labels.join(places, on=MOMENT, maintain_order="left")
    for (outcome,), rows in numbered.group_by("outcome", maintain_order=True):
        for horizon in sorted(horizons_years):
            question = _by_horizon(str(outcome), horizon, rows.filter(early_enough(rows, horizon, end)))
            if question is not None:
                yield question
        seen = (rows["event"] == OUTCOME).to_numpy()
        known = Known(seen, np.ones(rows.height), rows["subject_id"].to_numpy())
        yield _Question(str(outcome), None, known, rows["moment"].to_numpy())


def _by_horizon(outcome: str, horizon_years: float, rows: pl.DataFrame) -> _Question | None:
    subject, time, event = (rows[name].to_numpy() for name in ("subject_id", "time_years", "event"))
    risk_set = RiskSet(outcome, horizon_years, subject, time, event, {}, landmark=landmarks(rows))
    if risk_set.obstacle():
        return None
    at = risk_set.known
    known = Known(risk_set.status[at] == CASE, risk_set.censoring, risk_set.subject_id[at])
    return _Question(outcome, horizon_years, known, rows["moment"].to_numpy()[at])


def _found(questions: Sequence[_Question], held: Held, window: str) -> Iterator[dict]:
    """Rows of one window; those which the sums let pass are judged one by one."""
    num_moments = held.matrix[window].shape[0]
    sums = held.sums(window, np.hstack([question.weights(num_moments) for question in questions]))
    holders = np.diff(held.matrix[window].indptr)
    for number, question in enumerate(questions):
        for code in _worth_a_look(sums[:, 2 * number : 2 * number + 2], holders, question.known).tolist():
            verdict = judge(held.of(window, code)[question.moment], question.known)
            if verdict is not None:
                place = {"outcome": question.outcome, "horizon_years": question.horizon_years}
                yield place | {"window": window, "code": held.codes[code]} | asdict(verdict)


def _worth_a_look(
    having: Float[np.ndarray, "codes 2"], holders: Int[np.ndarray, " codes"], known: Known
) -> Int[np.ndarray, " some"]:
    """Codes whose estimates, without their limits, meet a rule: nearly none.

    Args:
        having: Weights of cases and of others who have each code.
        holders: At how many moments each code is held.
        known: All of them.
    """
    total = np.array([known.weights[rows].sum() for rows in (known.is_case, ~known.is_case)])
    auroc = (1 + np.abs(having @ (np.array([1, -1]) / total))) / 2
    worth = auroc >= LEAST_AUROC
    for people, enough in ((having, holders >= LEAST_SUBJECTS), (total - having, holders > 0)):
        rarer = people[:, 0 if known.rarer_is_case else 1]
        worth |= enough & (rarer >= LEAST_VALUE * people.sum(axis=1))
    return np.flatnonzero(worth)


def say_leaks(found: pl.DataFrame) -> None:
    """Say a line for every outcome that a code nearly determines, with the codes that do so most surely."""
    for (outcome,), rows in found.group_by("outcome", maintain_order=True):
        order = [True, False, True]
        rows = rows.sort("low", "code", "horizon_years", descending=order, nulls_last=True)
        codes = rows["code"].unique(maintain_order=True).to_list()
        named = ", ".join(codes[:_MOST_NAMED])
        more = f" and {len(codes) - _MOST_NAMED} more codes" if len(codes) > _MOST_NAMED else ""
        verb = "determine" if len(codes) > 1 else "determines"
        say(
            f"evaluate: outcome {outcome}: {named}{more} at the prediction time nearly {verb} it "
            f"({describe(rows.row(0, named=True))}); see leaks.parquet, and predict earlier "
            "or leave out what is recorded because of the outcome"
        )


def describe(row: dict) -> str:
    """One row in words."""
    who = f"{row['who']} {row['code']} {'on the last day' if row['window'] == LAST_DAY else 'by then'}"
    by = "the end of follow-up" if row["horizon_years"] is None else f"{row['horizon_years']:g} years"
    limits = f"{row['value']:.3f}, at least {row['low']:.3f}"
    if row["rule"] == AUROC:
        return f"AUROC of {who}, by {by}: {limits}"
    return f"share {row['label']} by {by} of those {who}: {limits}"
