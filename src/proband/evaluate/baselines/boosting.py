"""Gradient boosting (LightGBM) on the record summary, beginning at the age-sex risk.

Per outcome and horizon, the log odds of the outcome by then are those of the age-sex baseline plus trees on
the record summary, age and sex, so with no tree at all it is the age-sex baseline. Rows of known status count
with their censoring weights. Every outcome has the same budget: :data:`SETTINGS`, each with at most
:data:`MOST_ROUNDS` rounds, judged by the log loss of the tuning split.

LightGBM: Ke et al. 2017, NeurIPS 30 (https://dl.acm.org/doi/10.5555/3294996.3295074).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.errors import ConfigError
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
"""Tried at an outcome's longest usable horizon; the best is used at all its horizons."""


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

    def loss(self, log_odds: Float[np.ndarray, " rows"]) -> float:
        """Weighted mean log loss of given log odds."""
        nats = np.logaddexp(0.0, np.where(self.case, -log_odds, log_odds))
        return float(self.weight @ nats / self.weight.sum())


@dataclass(frozen=True)
class Fit:
    """Trees of one outcome and horizon; no booster where none lowers the tuning loss."""

    setting: Setting
    loss: float
    booster: Any = None

    def log_odds(self, features: Any, offset: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """Age-sex log odds plus trees."""
        return offset if self.booster is None else offset + self.booster.predict(features, raw_score=True)


def boosting(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: Callable[[pl.DataFrame], Any],
    gap_years: float = 0.0,
) -> pl.DataFrame:
    """The baseline's RiskTable; outcomes and horizons with fewer than 10 train cases are left out.

    Args:
        name: Of the model.
        fit: Labels of the train and tuning splits with age_years, female and ``is_extra`` (whether the row is
            at a further date, see :mod:`~proband.evaluate.baselines.dates`).
        wanted: Rows to predict, without ``is_extra`` (what followed is not looked at).
        horizons_years: Horizons.
        features: From moments (subject_id, prediction_time, age_years, female) to their features, a SciPy CSR
            matrix with NaN where unknown.
        gap_years: The task's blanking gap.

    Returns:
        A frame of :data:`proband.core.schema.RISK`.
    """
    moments = pl.concat([rows.select(*_MOMENT, "age_years", "female") for rows in (fit, wanted)])
    moments = moments.unique(_MOMENT).sort(_MOMENT).with_row_index("moment")
    fit, wanted = (
        rows.join(moments.select(*_MOMENT, "moment"), on=_MOMENT, how="left", maintain_order="left")
        for rows in (fit, wanted)
    )
    trees = Trees(features(moments), fit.filter(split="train")["moment"].unique().sort().to_numpy())
    parts = [RISK.empty()]
    for outcome in track(wanted["outcome"].unique(maintain_order=True).to_list(), f"Fitting {name}"):
        mine, ask = fit.filter(outcome=outcome), wanted.filter(outcome=outcome)
        rates = age_sex.rates_of(mine.filter(~pl.col("is_extra"), split="train"), gap_years)
        settings = SETTINGS
        for horizon in sorted(horizons_years, reverse=True):
            train, tuning = (
                _examples(mine.filter(split=split), rates, horizon, gap_years)
                for split in ("train", "tuning")
            )
            if train.num_case_subjects < LEAST_TRAIN_CASES or train.case.all():
                continue
            best = trees.best(train, tuning, settings)
            settings = (best.setting,)
            log_odds = best.log_odds(
                trees.features[ask["moment"].to_numpy()], _offset(ask, rates, horizon, gap_years)
            )
            parts.append(risk_table(ask, name, horizon, 1 / (1 + np.exp(-log_odds))))
    return pl.concat(parts)


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

    def best(self, train: Examples, tuning: Examples, settings: Sequence[Setting]) -> Fit:
        """The fit of least tuning loss; without a tree if none is below the age-sex risk's."""
        if tuning.case.sum() < LEAST_TUNING_CASES or tuning.case.all():
            return Fit(settings[0], np.inf)
        start = tuning.loss(tuning.offset)
        fits = [self._boost(train, tuning, setting) for setting in settings]
        best = min(fits, key=lambda fit: fit.loss)
        return best if best.loss < start else Fit(best.setting, start)

    def _boost(self, train: Examples, tuning: Examples, setting: Setting) -> Fit:
        lightgbm = self._lightgbm
        data = self._binned.subset(self._place[train.moment], params=_BINNING).construct()
        data.set_label(train.case.astype(np.float64))
        data.set_weight(train.weight)
        data.set_init_score(train.offset)
        features = self.features[tuning.moment]
        judged = lightgbm.Dataset(
            features,
            tuning.case.astype(np.float64),
            weight=tuning.weight,
            init_score=tuning.offset,
            reference=self._binned,
            params=_BINNING,
        )
        booster = lightgbm.train(
            _BINNING | _FIXED | asdict(setting),
            data,
            MOST_ROUNDS,
            valid_sets=[judged],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        fit = Fit(setting, np.inf, booster)
        return Fit(setting, tuning.loss(fit.log_odds(features, tuning.offset)), booster)


def load_lightgbm() -> Any:
    """The LightGBM package.

    Raises:
        ConfigError: It is not installed, or a library of the system that it needs is missing.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        remedy = "install lightgbm and the system's OpenMP library (libgomp1), or leave --tokens out"
        found = str(error).splitlines()[0]
        raise ConfigError("LightGBM does not load", found=found, remedy=remedy) from None
    return lightgbm
