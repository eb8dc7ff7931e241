"""Gradient boosting (LightGBM) on the record summary, beginning at the age-sex risk.

Per outcome and horizon, the log odds of the outcome by then are those of the age-sex baseline plus trees on
the record summary, age and sex, so with no tree at all it is the age-sex baseline. Rows of known status count
with their censoring weights. Every outcome has the same budget: :data:`SETTINGS` at its longest horizon,
each with at most :data:`MOST_ROUNDS` rounds. The log loss of the tuning split decides: the number of rounds
for each outcome and horizon, and one setting for all outcomes, since alone most have too few tuning cases.

LightGBM: Ke et al. 2017, NeurIPS 30 (https://dl.acm.org/doi/10.5555/3294996.3295074).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.errors import ConfigError, first_line
from proband.core.progress import track
from proband.core.schema import RISK
from proband.evaluate.baselines import age_sex
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, floats, known_rows, risk_table

NAME = "lightgbm"
NAME_WITH_SCORES = "lightgbm_pgs"
MOST_ROUNDS = 500
PATIENCE = 20
"""Rounds without a lower tuning loss after which a fit ends."""
LEAST_TUNING_CASES = 10
"""With fewer tuning cases the number of rounds cannot be judged, and there are none."""

_LOWEST_RISK = 1e-6
_BINNING = {"max_bin": 63, "min_data_in_bin": 20, "feature_pre_filter": False, "verbosity": -1}
_FIXED = {
    "objective": "binary",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 0,
}
_MOMENT = ["subject_id", "prediction_time"]


@dataclass(frozen=True)
class Setting:
    """One point of the grid; the names are LightGBM's."""

    learning_rate: float
    num_leaves: int
    min_child_samples: int
    lambda_l2: float


SETTINGS = (
    Setting(0.1, 2, 100, 1.0),
    Setting(0.1, 4, 100, 1.0),
    Setting(0.1, 8, 100, 10.0),
    Setting(0.1, 16, 400, 10.0),
)
"""Tried at every outcome's longest usable horizon; the best of all together is used throughout."""


@dataclass(frozen=True)
class Examples:
    """Rows of known status at a horizon.

    Attributes:
        moment: Row of the features.
        case: Whether the outcome came by the horizon.
        weight: Inverse probability of being uncensored.
        offset: Log odds of the age-sex risk.
        num_case_subjects: Subjects among the cases.
    """

    moment: Int[np.ndarray, " rows"]
    case: Bool[np.ndarray, " rows"]
    weight: Float[np.ndarray, " rows"]
    offset: Float[np.ndarray, " rows"]
    num_case_subjects: int

    def nats(self, log_odds: Float[np.ndarray, " rows"]) -> float:
        """Weighted log loss of given log odds, summed over rows."""
        return float(self.weight @ np.logaddexp(0.0, np.where(self.case, -log_odds, log_odds)))


@dataclass(frozen=True)
class Fit:
    """Trees of one outcome and horizon.

    Attributes:
        gain: Nats by which they lower the tuning split's log loss, above 0; 0 without trees.
        booster: LightGBM's; None where no number of rounds lowers that loss.
    """

    gain: float = 0.0
    booster: Any = None

    def log_odds(self, features: Any, offset: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """Age-sex log odds plus trees."""
        return offset if self.booster is None else offset + self.booster.predict(features, raw_score=True)


@dataclass(frozen=True)
class Boosted:
    """What boosting gives.

    Attributes:
        risks: The baseline's RiskTable, a frame of :data:`proband.core.schema.RISK`.
        setting: The one chosen.
    """

    risks: pl.DataFrame
    setting: Setting


def boosting(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: Callable[[pl.DataFrame], Any],
    gap_years: float = 0.0,
    settings: Sequence[Setting] = SETTINGS,
) -> Boosted:
    """Fit and predict; outcomes and horizons with fewer than 10 train cases are left out.

    Args:
        name: Of the model.
        fit: Labels of the train and tuning splits with age_years, female and ``is_extra`` (whether the row is
            at a further date, see :mod:`~proband.evaluate.baselines.dates`).
        wanted: Rows to predict, without ``is_extra`` (what followed is not looked at).
        horizons_years: Horizons.
        features: From moments (subject_id, prediction_time, age_years, female) to their features, a SciPy CSR
            matrix with NaN where unknown.
        gap_years: The task's blanking gap.
        settings: Those to choose from.
    """
    moments = pl.concat([rows.select(*_MOMENT, "age_years", "female") for rows in (fit, wanted)])
    moments = moments.unique(_MOMENT).sort(_MOMENT).with_row_index("moment")
    fit, wanted = (
        rows.join(moments.select(*_MOMENT, "moment"), on=_MOMENT, how="left", maintain_order="left")
        for rows in (fit, wanted)
    )
    train = fit.filter(split="train")["moment"].unique().sort().to_numpy().astype(np.int64)
    trees = Trees(features(moments), train)
    questions = _questions(fit, horizons_years, gap_years)
    tried = {
        question: {setting: trees.fit(question, setting) for setting in settings}
        for question in track(_longest(questions), f"Fitting {name}")
    }
    best = max(settings, key=lambda setting: sum(fits[setting].gain for fits in tried.values()))
    parts = [RISK.empty()]
    for question in track(questions, f"Fitting {name}, shorter horizons"):
        found = tried[question][best] if question in tried else trees.fit(question, best)
        ask = wanted.filter(outcome=question.outcome)
        offset = _offset(ask, question.rates, question.horizon_years, gap_years)
        log_odds = found.log_odds(trees.features[ask["moment"].to_numpy()], offset)
        parts.append(risk_table(ask, name, question.horizon_years, 1 / (1 + np.exp(-log_odds))))
    return Boosted(pl.concat(parts), best)


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be fitted for one outcome and horizon.

    Attributes:
        outcome: Name of the outcome.
        horizon_years: The horizon.
        rates: Of the outcome's age-sex baseline.
        train: Rows that trees are grown on.
        tuning: Rows that judge them.
    """

    outcome: str
    horizon_years: float
    rates: age_sex.AgeSexRates
    train: Examples
    tuning: Examples


def _questions(fit: pl.DataFrame, horizons_years: Sequence[float], gap_years: float) -> list[Question]:
    """All with train cases enough, by outcome, the longest horizon first."""
    found = []
    for outcome in fit["outcome"].unique().sort():
        mine = fit.filter(outcome=outcome)
        rates = age_sex.rates_of(mine.filter(~pl.col("is_extra"), split="train"), gap_years)
        for horizon in sorted(horizons_years, reverse=True):
            train, tuning = (
                _examples(mine.filter(split=split), rates, horizon, gap_years)
                for split in ("train", "tuning")
            )
            if train.num_case_subjects >= LEAST_TRAIN_CASES and not train.case.all():
                found.append(Question(outcome, horizon, rates, train, tuning))
    return found


def _longest(questions: Sequence[Question]) -> list[Question]:
    """Each outcome's first, which is that of its longest horizon."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.outcome, question)
    return list(first.values())


def _offset(
    rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float
) -> Float[np.ndarray, " rows"]:
    age, female = floats(rows, "age_years"), floats(rows, "female")
    risk = age_sex.cumulative_incidence(rates, age, female, horizon, gap_years)
    risk = np.clip(risk, _LOWEST_RISK, 1 - _LOWEST_RISK)
    return np.log(risk) - np.log1p(-risk)


def _examples(rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float) -> Examples:
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
        case[order],
        np.concatenate([np.zeros(0), *weights])[order],
        _offset(used, rates, horizon, gap_years)[order],
        used.filter(case)["subject_id"].n_unique(),
    )


class Trees:
    """Features binned once, boosted for every outcome and horizon.

    Args:
        features: Of all moments, a SciPy CSR matrix.
        train: Rows of train moments, ascending; the bins are fitted on them.
    """

    def __init__(self, features: Any, train: Int[np.ndarray, " rows"]) -> None:
        self.features = features
        self._lightgbm = load_lightgbm()
        self._place = np.full(features.shape[0], -1, dtype=np.int64)
        self._place[train] = np.arange(len(train))
        label = np.zeros(len(train))  # LightGBM wants one; each outcome sets its own
        binned = self._lightgbm.Dataset(features[train], label, params=_BINNING, free_raw_data=False)
        self._binned = binned.construct()

    def fit(self, question: Question, setting: Setting) -> Fit:
        """Grow trees on train until the tuning loss no longer falls; none if it never does."""
        train, tuning = question.train, question.tuning
        if tuning.case.sum() < LEAST_TUNING_CASES or tuning.case.all():
            return Fit()
        data = self._binned.subset(self._place[train.moment], params=_BINNING).construct()
        data.set_label(train.case.astype(np.float64))
        data.set_weight(train.weight)
        data.set_init_score(train.offset)
        features = self.features[tuning.moment]
        judged = self._lightgbm.Dataset(
            features,
            tuning.case.astype(np.float64),
            weight=tuning.weight,
            init_score=tuning.offset,
            reference=self._binned,
            params=_BINNING,
        )
        booster = self._lightgbm.train(
            _BINNING | _FIXED | asdict(setting),
            data,
            MOST_ROUNDS,
            valid_sets=[judged],
            callbacks=[self._lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        log_odds = Fit(0.0, booster).log_odds(features, tuning.offset)
        gain = tuning.nats(tuning.offset) - tuning.nats(log_odds)
        return Fit(gain, booster) if gain > 0 else Fit()


def load_lightgbm() -> Any:
    """The LightGBM package.

    Raises:
        ConfigError: It is not installed, or a library of the system that it needs is missing.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        remedy = "install lightgbm and the system's OpenMP library (libgomp1), or leave --tokens out"
        found = first_line(error)
        raise ConfigError("LightGBM does not load", found=found, remedy=remedy) from None
    return lightgbm
