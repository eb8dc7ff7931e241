"""Codes new to a subject on the subject's own clock: their rate per year of life times the years elapsed.

In the code softmax a code is asked for once per event, so that without more its risk would grow with how
often a person is seen. A code that the subject has not had therefore enters with the logarithm of its
expected number since the last time stamp,

    log(rate_c(age, sex) Δ),

rate_c the first occurrences of code c per person-year of the train split at the age of the next event, and
Δ the years from the previous time stamp to the time stamp of the next event. Not every code goes by the
years: a value of a laboratory test comes for the first time when the test is done. So each code learns a
slope s_c,

    log(rate_c(age, sex) Δ) + s_c (log Δ - log Δ_0),

0 at first, Δ_0 the geometric mean of Δ in the train split: with s_c = 0 a code is new at a rate per year,
with s_c = -1 at a rate per event.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from proband.core.units import MINUTES_PER_YEAR

SEXES = 3
MALE, FEMALE, UNKNOWN_SEX = range(SEXES)
"""Rows of the table of rates."""
BAND_YEARS, NUM_BANDS = 5, 24
"""Rates are kept at the middles of 24 bands of 5 years of age; between them log rates are interpolated."""


class Moment(NamedTuple):
    """A position and the time of the event after it.

    Attributes:
        ages: Age at the position, minutes.
        stamp_before: Age at the newest time stamp before the position's own, minutes.
        gaps: Minutes to the next event; less than a step of time is none.
        statics: Static codes; 0 is none.
    """

    ages: Int[Tensor, " n"]
    stamp_before: Int[Tensor, " n"]
    gaps: Int[Tensor, " n"]
    statics: Int[Tensor, "n statics"]


class PersonClock(nn.Module):
    """log(rate · Δ) of every code that is new to the subject.

    Args:
        vocabulary_size: Tokens.
        num_statics: Static codes.
        resolution_minutes: A step of time; Δ is at least one.

    Attributes:
        slopes: s_c.
        log_middle: log Δ_0 in years.
        log_rates: Log first occurrences per person-year, sex by sex and in each band by band, float32. 0
            until :meth:`set_rates`.
        sex_of_static: Sex that each static index says, ``UNKNOWN_SEX`` where it says none.
    """

    log_rates: Tensor
    log_middle: Tensor
    sex_of_static: Tensor

    def __init__(self, vocabulary_size: int, num_statics: int, resolution_minutes: int) -> None:
        super().__init__()
        self.resolution_minutes = resolution_minutes
        self.slopes = nn.Parameter(torch.zeros(vocabulary_size))
        self.register_buffer("log_middle", torch.zeros(()))
        self.register_buffer("log_rates", torch.zeros(SEXES * NUM_BANDS, vocabulary_size))
        self.register_buffer("sex_of_static", torch.full((num_statics + 1,), UNKNOWN_SEX))

    def set_rates(
        self, log_rates: Float[Tensor, "sexes bands vocabulary"], sex_of_static: Int[Tensor, " statics"]
    ) -> None:
        """Take over fitted rates and the sexes of the static codes."""
        self.log_rates.copy_(log_rates.flatten(0, 1))
        self.sex_of_static.copy_(sex_of_static)

    def elapsed_minutes(self, moment: Moment) -> Int[Tensor, " n"]:
        """Δ in minutes: the gap; at the same time stamp, the time since the stamp before; at least a step."""
        is_later = moment.gaps >= self.resolution_minutes
        elapsed = torch.where(is_later, moment.gaps, moment.ages - moment.stamp_before)
        return elapsed.clamp(min=self.resolution_minutes)

    def sex(self, statics: Int[Tensor, "n statics"]) -> Int[Tensor, " n"]:
        """The sex that the first static code with one says."""
        known = self.sex_of_static[statics]
        first = (known != UNKNOWN_SEX).int().argmax(dim=1, keepdim=True)
        return known.gather(1, first).squeeze(1)

    def log_years(self, moment: Moment) -> Float[Tensor, " n"]:
        """log Δ, in years."""
        return self.elapsed_minutes(moment).float().log() - math.log(MINUTES_PER_YEAR)

    def forward(self, moment: Moment) -> Float[Tensor, "n vocabulary"]:
        """log(rate · Δ) + slope (log Δ − log Δ_0), float32; rate per year at the age of the next event."""
        years = (moment.ages + moment.gaps).float() / MINUTES_PER_YEAR
        band = (years / BAND_YEARS - 0.5).clamp(0, NUM_BANDS - 1)
        lower = band.long().clamp(max=NUM_BANDS - 2)
        row = self.sex(moment.statics) * NUM_BANDS + lower
        log_years = self.log_years(moment)[:, None]
        rates = torch.lerp(self.log_rates[row], self.log_rates[row + 1], (band - lower)[:, None])
        return rates + log_years + (log_years - self.log_middle) * self.slopes
