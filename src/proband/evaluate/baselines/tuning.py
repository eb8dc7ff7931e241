"""Tuning of the regressions that begin at the age-sex risk: one budget and one rule for all.

Per outcome and horizon, the log odds of the outcome by then are those of the age-sex baseline plus what is
learned, so with nothing learned it is the age-sex baseline. Rows of known status count with their censoring
weights. Every baseline has the same budget: four settings at each outcome's longest horizon, each of at most
:data:`MOST_STEPS` steps (trees, or iterations). The log loss of the tuning split decides, and one setting is
chosen for all outcomes, since alone most have too few tuning cases. Where an outcome has fewer than
:data:`LEAST_TUNING_CASES`, folds of the train split judge in their place, and the mean of what is learned
without each of them is added. With the setting chosen, folds judge all that stops early, whatever the
number of tuning cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.running.progress import track
from proband.core.schema import RISK
from proband.evaluate.baselines import age_sex
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, floats, known_rows, risk_table

MOST_STEPS = 500
LEAST_TUNING_CASES = 10
"""Fewer cases cannot judge what is learned."""
MOST_FOLDS = 5
"""Of train subjects; fewer where cases or others would be fewer than 10 in a fold."""

_LOWEST_RISK = 1e-6
_MOMENT = ["subject_id", "prediction_time"]


@dataclass(frozen=True)
class Examples:
    """Rows of known status at a horizon.

    Attributes:
        moment: Row of the features.
        subject: Whose it is.
        case: Whether the outcome came by the horizon.
        weight: Inverse probability of being uncensored.
        offset: Log odds of the age-sex risk.
    """

    moment: Int[np.ndarray, " rows"]
    subject: Int[np.ndarray, " rows"]
    case: Bool[np.ndarray, " rows"]
    weight: Float[np.ndarray, " rows"]
    offset: Float[np.ndarray, " rows"]

    @property
    def num_case_subjects(self) -> int:
        """Subjects among the cases."""
        return len(np.unique(self.subject[self.case]))

    @property
    def can_judge(self) -> bool:
        """Whether there are cases enough, and others."""
        return bool(self.case.sum() >= LEAST_TUNING_CASES and not self.case.all())

    def where(self, kept: Bool[np.ndarray, " rows"]) -> Examples:
        """Some of the rows."""
        columns = (self.moment, self.subject, self.case, self.weight, self.offset)
        return Examples(*(column[kept] for column in columns))

    def nats(self, log_odds: Float[np.ndarray, " rows"]) -> float:
        """Weighted log loss of given log odds, summed over rows."""
        return float(self.weight @ np.logaddexp(0.0, np.where(self.case, -log_odds, log_odds)))


Round = tuple[Examples, Examples]
"""Rows to learn from, and rows that judge what is learned."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be fitted for one outcome and horizon.

    Attributes:
        outcome: Name of the outcome.
        horizon_years: The horizon.
        rates: Of the outcome's age-sex baseline.
        train: Rows of the train split.
        tuning: Rows of the tuning split.
    """

    outcome: str
    horizon_years: float
    rates: age_sex.AgeSexRates
    train: Examples
    tuning: Examples

    @property
    def by_tuning(self) -> list[Round]:
        """Train rows, judged by the tuning rows; none where these have too few cases."""
        return [(self.train, self.tuning)] if self.tuning.can_judge else []

    @property
    def by_folds(self) -> list[Round]:
        """Each fold of train subjects judges what is learned from the others; none with too few cases."""
        fold = folds(self.train)
        return [(self.train.where(fold != one), self.train.where(fold == one)) for one in np.unique(fold)]


def folds(rows: Examples) -> Int[np.ndarray, " rows"]:
    """Fold of each row, by subject: at most 5, with at least 10 cases and 10 others in each, drawn evenly.

    Returns:
        (rows,), from 0; no row at all where two such folds cannot be made.

    >>> case = np.arange(60) < 25
    >>> found = folds(Examples(np.arange(60), np.arange(60), case, np.ones(60), np.zeros(60)))
    >>> np.bincount(found[case]).tolist(), np.bincount(found[~case]).tolist()
    ([13, 12], [18, 17])
    """
    subjects, place = np.unique(rows.subject, return_inverse=True)
    is_case = np.bincount(place, rows.case, minlength=len(subjects)) > 0
    least = int(min(is_case.sum(), (~is_case).sum()))
    number = min(MOST_FOLDS, least // LEAST_TUNING_CASES)
    if number < 2:
        return np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng(0)
    fold = np.zeros(len(subjects), dtype=np.int64)
    for group in (is_case, ~is_case):
        members = rng.permutation(np.flatnonzero(group))
        fold[members] = np.arange(len(members)) % number
    return fold[place]


@dataclass(frozen=True)
class Fit:
    """What was learned for one outcome and horizon.

    Attributes:
        gain: Nats by which it lowers the log loss of the rows that judge (of a fold, in the mean), above 0;
            0 where nothing is learned.
        models: The learner's own, one for each round, whose mean is added; empty where nothing is learned.
    """

    gain: float = 0.0
    models: tuple[Any, ...] = ()


NOTHING = Fit()


class Learner(ABC):
    """Learns what to add to the age-sex log odds.

    Attributes:
        features: Of all moments.
        stops_early: Whether the rows that judge say when a fit ends. Folds of train then judge every outcome
            in the end: they have more cases than the tuning split, and the mean of their models less noise.
    """

    features: Features
    stops_early: ClassVar[bool] = False

    @abstractmethod
    def learned(self, train: Examples, judge: Examples, setting: Any) -> Any:
        """A model of its own from train rows; the loss of the others may end the fit."""

    @abstractmethod
    def added(self, model: Any, features: Features) -> Float[np.ndarray, " rows"]:
        """Log odds that a model adds."""

    def fit(self, rounds: Sequence[Round], setting: Any) -> Fit:
        """Learn in each round; :data:`NOTHING` where the loss of the rows that judge does not fall."""
        gain, models = 0.0, []
        for train, judge in rounds:
            model = self.learned(train, judge, setting)
            log_odds = judge.offset + self.added(model, self.features.take(judge.moment))
            gain += judge.nats(judge.offset) - judge.nats(log_odds)
            models.append(model)
        return Fit(gain / len(models), tuple(models)) if gain > 0 else NOTHING

    def added_by(self, fit: Fit, moments: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """Log odds that a fit adds at moments: the mean over its models."""
        if not fit.models:
            return np.zeros(len(moments))
        features = self.features.take(moments)
        return np.mean([self.added(model, features) for model in fit.models], axis=0)


@dataclass(frozen=True)
class Tuned:
    """What tuning gives.

    Attributes:
        risks: The baseline's RiskTable, a frame of :data:`proband.core.schema.RISK`.
        setting: The one chosen.
    """

    risks: pl.DataFrame
    setting: Any


FeaturesOf = Callable[[pl.DataFrame], Features]
"""What is known at moments (subject_id, prediction_time, age_years, female)."""


def tuned(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: FeaturesOf,
    learner_of: Callable[[Features, np.ndarray], Learner],
    settings: Sequence[Any],
    gap_years: float = 0.0,
) -> Tuned:
    """Fit and predict; outcomes and horizons with fewer than 10 train cases are left out.

    Args:
        name: Of the model.
        fit: Labels of the train and tuning splits with age_years, female and ``is_extra`` (whether the row is
            at a further date, see :mod:`~proband.evaluate.baselines.dates`).
        wanted: Rows to predict, without ``is_extra`` (what followed is not looked at).
        horizons_years: Horizons.
        features: What is known at a moment.
        learner_of: Makes a learner from the features of all moments and the rows of train moments.
        settings: Those to choose from.
        gap_years: The task's blanking gap.
    """
    moments, fit, wanted = numbered(fit, wanted)
    train = fit.filter(split="train")["moment"].unique().sort().to_numpy().astype(np.int64)
    learner = learner_of(features(moments), train)
    questions = questions_of(fit, horizons_years, gap_years)
    best, fits = chosen(learner, questions, settings, name)
    rounds_of = _folds_first if learner.stops_early else _tuning_first
    asked = [(one, best) for one in questions if learner.stops_early or one not in fits]
    found = _fits(learner, asked, rounds_of, f"Fitting {name}")
    fits |= {question: fit for (question, _), fit in zip(asked, found, strict=True)}
    parts = [RISK.empty()]
    for question in questions:
        ask = wanted.filter(outcome=question.outcome)
        log_odds = age_sex_log_odds(ask, question.rates, question.horizon_years, gap_years)
        log_odds = log_odds + learner.added_by(fits[question], ask["moment"].to_numpy().astype(np.int64))
        parts.append(risk_table(ask, name, question.horizon_years, 1 / (1 + np.exp(-log_odds))))
    return Tuned(pl.concat(parts), best)


def chosen(
    learner: Learner, questions: Sequence[Question], settings: Sequence[Any], name: str
) -> tuple[Any, dict[Question, Fit]]:
    """The setting of the largest gain, summed over each outcome's longest horizon, and its fits there.

    Of a single setting nothing is fitted.
    """
    if len(settings) == 1:
        return settings[0], {}
    longest = _longest(questions)
    pairs = [(question, setting) for question in longest for setting in settings]
    found = _fits(learner, pairs, _tuning_first, f"Choosing the setting of {name}")
    tried = dict(zip(pairs, found, strict=True))
    best = max(settings, key=lambda setting: sum(tried[question, setting].gain for question in longest))
    return best, {question: tried[question, best] for question in longest}


def numbered(fit: pl.DataFrame, wanted: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """All moments in order, with age_years and female, and both frames with the row of each ``moment``."""
    moments = pl.concat([rows.select(*_MOMENT, "age_years", "female") for rows in (fit, wanted)])
    moments = moments.unique(_MOMENT).sort(_MOMENT).with_row_index("moment")
    fit, wanted = (
        rows.join(moments.select(*_MOMENT, "moment"), on=_MOMENT, how="left", maintain_order="left")
        for rows in (fit, wanted)
    )
    return moments, fit, wanted


def questions_of(fit: pl.DataFrame, horizons_years: Sequence[float], gap_years: float) -> list[Question]:
    """All with train cases enough, by outcome, the longest horizon first."""
    found = []
    for outcome in fit["outcome"].unique().sort():
        mine = fit.filter(outcome=outcome)
        rates = age_sex.rates_of(mine.filter(~pl.col("is_extra"), split="train"), gap_years)
        for horizon in sorted(horizons_years, reverse=True):
            train, tuning = (
                examples_of(mine.filter(split=split), rates, horizon, gap_years)
                for split in ("train", "tuning")
            )
            if train.num_case_subjects >= LEAST_TRAIN_CASES and not train.case.all():
                found.append(Question(outcome, horizon, rates, train, tuning))
    return found


def _tuning_first(question: Question) -> list[Round]:
    """By tuning where it can judge, else by folds of train."""
    return question.by_tuning or question.by_folds


def _folds_first(question: Question) -> list[Round]:
    """By folds of train, or by tuning where train has too few cases for them."""
    return question.by_folds or question.by_tuning


def _fits(
    learner: Learner,
    pairs: Sequence[tuple[Question, Any]],
    rounds_of: Callable[[Question], list[Round]],
    title: str,
) -> Iterator[Fit]:
    """Fits of questions with settings, one after another: LightGBM crashes where threads share its bins."""
    for question, setting in track(pairs, title):
        yield learner.fit(rounds_of(question), setting)


def _longest(questions: Sequence[Question]) -> list[Question]:
    """Each outcome's first, which is that of its longest horizon."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.outcome, question)
    return list(first.values())


def age_sex_log_odds(
    rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float
) -> Float[np.ndarray, " rows"]:
    """Log odds of the age-sex baseline, moved into those of 1e-6 to 1 - 1e-6."""
    age, female = floats(rows, "age_years"), floats(rows, "female")
    risk = age_sex.cumulative_incidence(rates, age, female, horizon, gap_years)
    risk = np.clip(risk, _LOWEST_RISK, 1 - _LOWEST_RISK)
    return np.log(risk) - np.log1p(-risk)


def examples_of(rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float) -> Examples:
    """Rows of known status; the task's own and further dates have censoring weights of their own."""
    kept, cases, weights = [], [], []
    for _, part in rows.group_by("is_extra", maintain_order=True):
        known, case, weight = known_rows(part, horizon)
        kept.append(part.filter(known))
        cases.append(case)
        weights.append(weight)
    used = pl.concat([rows.clear(), *kept])
    case = np.concatenate([np.zeros(0, dtype=bool), *cases])
    order = np.argsort(used["moment"].to_numpy(), kind="stable")
    return Examples(
        used["moment"].to_numpy().astype(np.int64)[order],
        used["subject_id"].to_numpy().astype(np.int64)[order],
        case[order],
        np.concatenate([np.zeros(0), *weights])[order],
        age_sex_log_odds(used, rates, horizon, gap_years)[order],
    )
