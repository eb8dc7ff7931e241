"""Gradient boosting (LightGBM) on the record summary, beginning at the age-sex risk.

With no tree at all it is the age-sex baseline. :mod:`~proband.evaluate.baselines.tuning` has the rule by
which the number of trees of each outcome and horizon, and one setting for all, are chosen.

LightGBM: Ke et al. 2017, NeurIPS 30 (https://dl.acm.org/doi/10.5555/3294996.3295074).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.core.errors import ConfigError, first_line
from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.features import Features

NAME = "lightgbm"
NAME_WITH_SCORES = "lightgbm_pgs"
PATIENCE = 20
"""Rounds without a lower loss of the rows that judge after which a fit ends."""

_BINNING = {"max_bin": 63, "min_data_in_bin": 20, "feature_pre_filter": False, "verbosity": -1}
_FIXED = {
    "objective": "binary",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 0,
}


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


def boosting(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: tuning.FeaturesOf,
    gap_years: float = 0.0,
    settings: Sequence[Setting] = SETTINGS,
) -> tuning.Tuned:
    """Trees on features, see :func:`proband.evaluate.baselines.tuning.tuned`."""
    return tuning.tuned(name, fit, wanted, horizons_years, features, Trees, settings, gap_years)


class Trees(tuning.Learner):
    """Features binned once, boosted for every outcome and horizon.

    Args:
        features: Of all moments.
        train: Rows of train moments, ascending; the bins are fitted on them.
    """

    stops_early = True

    def __init__(self, features: Features, train: Int[np.ndarray, " rows"]) -> None:
        self.features = features
        self._lightgbm = load_lightgbm()
        self._place = np.full(features.shape[0], -1, dtype=np.int64)
        self._place[train] = np.arange(len(train))
        label = np.zeros(len(train))  # LightGBM wants one; each outcome sets its own
        rows = features.take(train).joined()
        binned = self._lightgbm.Dataset(rows, label, params=_BINNING, free_raw_data=False)
        self._binned = binned.construct()

    def learned(self, train: tuning.Examples, judge: tuning.Examples, setting: Setting) -> Any:
        """Grow trees until the loss of the rows that judge no longer falls."""
        data, judged = self._dataset(train), self._dataset(judge)
        return self._lightgbm.train(
            _BINNING | _FIXED | asdict(setting),
            data,
            tuning.MOST_STEPS,
            valid_sets=[judged],
            callbacks=[self._lightgbm.early_stopping(PATIENCE, verbose=False)],
        )

    def _dataset(self, rows: tuning.Examples) -> Any:
        """Rows in the bins of train, which train rows have already."""
        place = self._place[rows.moment]
        if (place >= 0).all():
            data = self._binned.subset(place, params=_BINNING)
        else:
            values = self.features.take(rows.moment).joined()
            data = self._lightgbm.Dataset(values, reference=self._binned, params=_BINNING)
        data.construct()
        data.set_label(rows.case.astype(np.float64))
        data.set_weight(rows.weight)
        data.set_init_score(rows.offset)
        return data

    def added(self, model: Any, features: Features) -> Float[np.ndarray, " rows"]:
        """Sum of a booster's trees."""
        return np.asarray(model.predict(features.joined(), raw_score=True))


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
