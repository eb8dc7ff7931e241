"""Competing-risk boosting (SurvivalBoost of the package hazardous) on the record summary.

One model per outcome gives the cumulative incidence of the outcome at any horizon, death competing: trees on
the record, age, sex and the time asked about, fitted by a proper score with inverse weights of a
Kaplan-Meier censoring distribution. It has no offset, so age and sex are columns. The package keeps dense
columns and finds their bins anew for every tree; it is given the columns that go most with the outcome
beyond age and sex, each with few levels.

Alberge et al. 2025, AISTATS (https://hal.science/hal-04617672).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import ConfigError, first_line
from proband.core.running.progress import say, track
from proband.core.schema import RISK
from proband.core.seeds import bounded
from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.records.logistic import Linear
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, floats, risk_table
from proband.evaluate.metrics.calibration import expit, logit

NAME = "survival_boost"
NAME_WITH_SCORES = "survival_boost_pgs"
PACKAGE = "hazardous"
REMEDY = "pip install 'proband[hazardous]'"
NUM_COLUMNS = 64
"""Columns beside age and sex. The time of a fit goes with their number."""
LEVELS = 63
"""Levels of a column, as many as the bins of :mod:`~proband.evaluate.baselines.records.boosting`."""

_HAD, _DIED, _CENSORED = 1, 2, 0


@dataclass(frozen=True)
class Setting:
    """One point of the grid; the names are the package's."""

    n_iter: int
    learning_rate: float
    max_leaf_nodes: int
    min_samples_leaf: int


SETTINGS = (
    Setting(40, 0.1, 4, 300),
    Setting(40, 0.1, 8, 300),
    Setting(40, 0.1, 16, 300),
    Setting(100, 0.05, 31, 50),
)
"""Tried for every outcome, the last the package's own; the best of all together is used. The number of
iterations, each of one tree per event, is not chosen by early stopping: boosting starts at the incidence by a
random time, and where it was stopped at the least tuning loss, after 1 to 5 iterations, risks by ten years
were 0.58 to 0.75 of the incidence in train. Leaves are counted in rows times three, since the package asks
about three times of each row."""


def survival_boost(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: tuning.FeaturesOf,
    gap_years: float = 0.0,
    seed: int = 0,
    settings: Sequence[Setting] = SETTINGS,
) -> pl.DataFrame:
    """Fit and predict; outcomes with fewer than 10 train cases by the longest horizon are left out.

    The tuning log loss at the longest horizon decides. The risks are the package's own, also where they are
    worse than those of age and sex; with fewer than 10 cases to learn from or to judge by they are the
    latter.

    Args:
        name: Of the model.
        fit: Labels of the train and tuning splits with age_years, female and ``is_extra``. Trees are not
            grown on rows at further dates, since the package has one censoring distribution for all.
        wanted: Rows to predict (what followed is not looked at).
        horizons_years: Horizons.
        features: What is known at a moment.
        gap_years: The task's blanking gap.
        seed: Of the times that the package asks about.
        settings: Those to choose from.

    Returns:
        A frame of :data:`proband.core.schema.RISK`.

    Raises:
        ConfigError: The package is not installed.
    """
    load_hazardous()
    moments, fit, wanted = tuning.numbered(fit, wanted)
    train = fit.filter(~pl.col("is_extra"), split="train")
    design = Design(features(moments), moments, _moments_of(fit.filter(split="train")))
    questions = tuning.questions_of(fit, [max(horizons_years)], gap_years)
    fits = {
        question: _Boosted.of(question, train, design, settings, seed)
        for question in track(questions, f"Fitting {name}")
    }
    best = max(settings, key=lambda setting: sum(one.gains[setting][0] for one in fits.values()))
    parts = [RISK.empty()]
    for question, boosted in fits.items():
        ask = wanted.filter(outcome=question.outcome)
        risks = zip(horizons_years, boosted.risks(best, ask, horizons_years, gap_years), strict=True)
        parts += [risk_table(ask, name, horizon, risk) for horizon, risk in risks]
    return pl.concat(parts)


class Design:
    """Dense columns of few levels, chosen for an outcome.

    Args:
        features: Of all moments.
        moments: age_years and female of all moments.
        train: Rows of train moments, ascending; levels are theirs.
    """

    def __init__(self, features: Features, moments: pl.DataFrame, train: Int[np.ndarray, " rows"]) -> None:
        self.features = features.joined().tocsc()
        self.train = train
        self.always = np.column_stack([floats(moments, "age_years"), floats(moments, "female")])
        self._linear = Linear(features, train)

    def columns(self, question: tuning.Question) -> Int[np.ndarray, " columns"]:
        """The columns with the largest score test of a linear term beside age and sex, on the train rows.

        Those that are the same in all of train are none of them.
        """
        train = question.train
        start = np.zeros(self.features.shape[1] + 1)
        _, slope = self._linear.log_loss(start, train, self._linear.features.take(train.moment))
        size = np.abs(slope[1:])
        order = np.argsort(-size, kind="stable")[:NUM_COLUMNS]
        return np.sort(order[size[order] > 0])

    def of(self, columns: Int[np.ndarray, " columns"]) -> Float[np.ndarray, "moments chosen"]:
        """Age, sex and the columns, as numbers of levels; NaN where unknown."""
        chosen = np.hstack([self.always, self.features[:, columns].toarray().astype(np.float64)])
        return np.column_stack([levelled(column, self.train) for column in chosen.T])


def levelled(
    column: Float[np.ndarray, " rows"], train: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " rows"]:
    """Number of the level of each value, 0 to 62: between quantiles of the different values in train."""
    values = np.unique(column[train])
    values = values[np.isfinite(values)]
    edges = values[1:]
    if len(values) > LEVELS:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, LEVELS + 1)[1:-1]))
    level = np.searchsorted(edges, column, side="right").astype(np.float64)
    return np.where(np.isfinite(column), level, np.nan)


@dataclass(frozen=True, eq=False)
class _Boosted:
    """One outcome: what each setting gains, and how to fit it again.

    Attributes:
        question: The outcome at the longest horizon.
        values: Dense columns of all moments.
        rows: ``moment``, ``time_years`` and ``event`` of the train rows, one a subject.
        gains: Nats by which each setting's tuning log loss lies below that of age and sex, and its model;
            0 and None where cases are too few.
        seed: Seed.
    """

    question: tuning.Question
    values: Float[np.ndarray, "moments columns"]
    rows: pl.DataFrame
    gains: dict[Setting, tuple[float, Any]]
    seed: int

    @classmethod
    def of(
        cls,
        question: tuning.Question,
        train: pl.DataFrame,
        design: Design,
        settings: Sequence[Setting],
        seed: int,
    ) -> _Boosted:
        """Fit every setting on train, and judge it on tuning."""
        values = design.of(design.columns(question))
        rows = _followed(train.filter(outcome=question.outcome), question.horizon_years)
        boosted = cls(question, values, rows, {}, seed)
        judge = question.tuning
        can_judge = judge.case.sum() >= tuning.LEAST_TUNING_CASES and not judge.case.all()
        can_judge &= (rows["event"] == _HAD).sum() >= LEAST_TRAIN_CASES
        for setting in settings:
            boosted.gains[setting] = boosted._judged(setting) if can_judge else (0.0, None)
        return boosted

    def _judged(self, setting: Setting) -> tuple[float, Any]:
        """Gain in tuning log likelihood at the longest horizon, and the model."""
        model = self._fitted(setting)
        if model is None:
            return 0.0, None
        judge = self.question.tuning
        risk = _incidence(model, self.values[judge.moment], [self.question.horizon_years])[0]
        return judge.nats(judge.offset) - judge.nats(logit(risk)), model

    def _fitted(self, setting: Setting) -> Any:
        """The package's model; None where its random times pass by all cases of an event."""
        model = load_hazardous().SurvivalBoost(
            ipcw_strategy="kaplan-meier",
            random_state=bounded(self.seed, 32),
            show_progressbar=False,
            **asdict(setting),
        )
        target = {"event": self.rows["event"].to_numpy(), "duration": self.rows["time_years"].to_numpy()}
        with _numpy_seed(self.seed):
            try:
                return model.fit(self.values[self.rows["moment"].to_numpy()], target)
            except ValueError as error:
                say(f"evaluate: {NAME} learns nothing of {self.question.outcome}: {first_line(error)}")
                return None

    def risks(
        self, setting: Setting, ask: pl.DataFrame, horizons_years: Sequence[float], gap_years: float
    ) -> Float[np.ndarray, "horizons rows"]:
        """Cumulative incidence of the outcome at each horizon; that of age and sex without a model."""
        model = self.gains[setting][1]
        if model is None:
            rates = self.question.rates
            odds = [tuning.age_sex_log_odds(ask, rates, horizon, gap_years) for horizon in horizons_years]
            return expit(np.stack(odds))
        return _incidence(model, self.values[ask["moment"].to_numpy()], horizons_years)


def _incidence(
    model: Any, values: Float[np.ndarray, "rows columns"], horizons_years: Sequence[float]
) -> Float[np.ndarray, "horizons rows"]:
    """The package's cumulative incidence of the outcome, which is its event 1."""
    return model.predict_cumulative_incidence(values, times=list(horizons_years))[:, 1].T


def _moments_of(rows: pl.DataFrame) -> Int[np.ndarray, " moments"]:
    return rows["moment"].unique().sort().to_numpy().astype(np.int64)


def _followed(rows: pl.DataFrame, longest: float) -> pl.DataFrame:
    """A subject's first prediction, followed up to the longest horizon; fewer than 10 deaths are no event."""
    first = rows.sort("subject_id", "prediction_time").unique("subject_id", keep="first", maintain_order=True)
    beyond = pl.col("time_years") > longest
    first = first.select(
        "moment",
        pl.min_horizontal("time_years", pl.lit(float(longest))).alias("time_years"),
        pl.when(beyond).then(_CENSORED).otherwise("event").cast(pl.Int64).alias("event"),
    )
    if (first["event"] == _DIED).sum() < LEAST_TRAIN_CASES:
        first = first.with_columns(pl.when(pl.col("event") != _DIED).then("event").otherwise(_CENSORED))
    return first


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """NumPy's global generator from a seed meanwhile: the package's trees have no seed of their own."""
    before = np.random.get_state()
    np.random.seed(bounded(seed, 32))
    try:
        yield
    finally:
        np.random.set_state(before)


def load_hazardous() -> Any:
    """The package hazardous.

    Raises:
        ConfigError: It is not installed, or does not load.
    """
    try:
        import hazardous
    except (ImportError, OSError) as error:
        found = first_line(error)
        raise ConfigError("hazardous does not load", found=found, remedy=REMEDY) from None
    return hazardous
