"""The hazard ratio of a polygenic score that a study would fit, from a cohort's first records.

A score s = r g + sqrt(1 - r^2) e has the correlation r with the genetic value g; e is independent of all
else. A Cox or Poisson regression of first records on s, within strata of sex and year of age, solves

    sum over records of (s - E[s exp(b s)] / E[exp(b s)]) = 0,

the means E over those at risk. With g normal among those at risk (mean m, variance v of the stratum) the
second term is r m + b (r^2 v + 1 - r^2), so b is a ratio of sums, and e needs no draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import betainc

from proband.synth.genomes.relatives.families import ENTRY_AGE_BETA, YOUNGEST
from proband.synth.genomes.relatives.families import OLDEST as OLDEST_AT_ENTRY
from proband.synth.lives.law import REFERENCE_AGE
from proband.synth.lives.state import State
from proband.synth.traits import ADULT_AGE

FOLLOW_UP_YEARS = 14.5
"""Mean years from enrolment to the end in the default settings."""


def share_followed(age: Float[np.ndarray, " ages"]) -> Float[np.ndarray, " ages"]:
    """Share of a biobank's subjects whose follow-up holds an age, deaths aside: its weight in a study."""
    entered, left = (
        betainc(*ENTRY_AGE_BETA, np.clip((at - YOUNGEST) / (OLDEST_AT_ENTRY - YOUNGEST), 0, 1))
        for at in (age, age - FOLLOW_UP_YEARS)
    )
    return np.asarray(entered - left)


@dataclass(frozen=True)
class ScoreEffects:
    """Fitted effects of scores on the hazard of a first record.

    Attributes:
        log_ratio: Log hazard ratio per standard deviation, ages pooled, (diseases,).
        at_60: The same at age 60, of a fit with a line in age.
        per_decade: Change of the log hazard ratio per decade in that fit.
        mean_decades: Mean age of the records, in decades from 60.
    """

    log_ratio: Float[np.ndarray, " diseases"]
    at_60: Float[np.ndarray, " diseases"]
    per_decade: Float[np.ndarray, " diseases"]
    mean_decades: Float[np.ndarray, " diseases"]

    @property
    def slope(self) -> Float[np.ndarray, " diseases"]:
        """Change per decade relative to the log hazard ratio at 60."""
        return self.per_decade / self.at_60


class RecordCounts:
    """Sums over a cohort, one year of age after another: people at risk and first records, by sex.

    Unrecorded onset does not end the time at risk: what a study sees, and what is predicted, is the record.
    """

    def __init__(
        self, male: Bool[np.ndarray, " people"], genetic: Float[np.ndarray, "people diseases"]
    ) -> None:
        self._sexes = np.stack([~male, male]).astype(np.float32)
        self._genetic = genetic.astype(np.float32)
        self._at_risk = np.zeros(genetic.shape, dtype=bool)
        self._years: list[np.ndarray] = []

    def begin_year(self, state: State) -> None:
        """Note who is at risk; records until :meth:`end_year` are counted against them."""
        self._at_risk = np.isinf(state.recorded) & np.isinf(state.death)[:, None]

    def end_year(self, state: State) -> None:
        """Count the year's first records."""
        recorded = self._at_risk & np.isfinite(state.recorded)
        self._years.append(np.stack([*self._moments(self._at_risk, 2), *self._moments(recorded, 1)]))

    def _moments(self, rows: Bool[np.ndarray, "people diseases"], highest: int) -> list[np.ndarray]:
        """Sums of powers of the genetic value over ``rows``, each (2, diseases)."""
        values, sums = rows.astype(np.float32), []
        for power in range(highest + 1):
            sums.append((self._sexes @ values).astype(np.float64))
            if power < highest:
                values *= self._genetic
        return sums

    def fit(self, correlation: float) -> ScoreEffects:
        """Effects of a score of this ``correlation`` with the genetic value; not a number without records."""
        count, first, second, records, of_records = np.stack(self._years).transpose(1, 0, 2, 3)
        safe = np.maximum(count, 1)
        mean = first / safe
        variance = correlation**2 * (second / safe - mean**2) + 1 - correlation**2
        age = ADULT_AGE + np.arange(len(count)) + 0.5
        weight = share_followed(age)[:, None, None]
        decades = ((age - REFERENCE_AGE) / 10)[:, None]
        information = (weight * records * variance).sum(axis=1)
        score = (weight * correlation * (of_records - records * mean)).sum(axis=1)
        sums = [(information * decades**power).sum(axis=0) for power in range(3)]
        scores = [(score * decades**power).sum(axis=0) for power in range(2)]
        spread = sums[0] * sums[2] - sums[1] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return ScoreEffects(
                log_ratio=scores[0] / sums[0],
                at_60=(scores[0] * sums[2] - scores[1] * sums[1]) / spread,
                per_decade=(scores[1] * sums[0] - scores[0] * sums[1]) / spread,
                mean_decades=sums[1] / sums[0],
            )
