"""Codes new to a subject on the subject's own clock: their rate per year of life over the rate of events.

In the code softmax a code is asked for once per event, so that without more its risk would grow with how
often a person is seen. The hazard of a code is that of an event times the probability of the code given the
event, h(g) p(c | g); for it to be rate_c per year of life, p(c | g) must be rate_c / h(g). A code that the
subject has not had therefore enters with

    log(rate_c(age, sex) / h),

rate_c the first occurrences of code c per person-year of the train split at the age of the next event, and h
the model's own hazard of an event per year when the time stamp of the next event came. For who has had an
antecedent of c, a code that c mostly follows, rate_c is multiplied by one factor, for who has had none by
another (:mod:`proband.train.initial.antecedents`). Not every code goes by the years: a value of a laboratory
test comes for the first time when the test is done. So each code learns a slope s_c,

    log(rate_c(age, sex) / h) - s_c (log h - log h_0),

0 at first, h_0 the geometric mean of h in the train split: with s_c = 0 a code is new at a rate per year,
with s_c = -1 at a rate per event.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from proband.core.units import MINUTES_PER_YEAR

MOST_ANTECEDENTS = 4
"""Antecedents kept of a code."""
SEXES = 3
MALE, FEMALE, UNKNOWN_SEX = range(SEXES)
"""Rows of the table of rates."""
BAND_YEARS, NUM_BANDS = 5, 24
"""Rates are kept at the middles of 24 bands of 5 years of age; between them log rates are interpolated."""


class Moment(NamedTuple):
    """The time of the event after a position.

    Attributes:
        ages: Age at the event, minutes.
        log_wait: −log h: log expected years of waiting with which its time stamp came.
        statics: Static codes; 0 is none.
    """

    ages: Int[Tensor, " n"]
    log_wait: Float[Tensor, " n"]
    statics: Int[Tensor, "n statics"]


class PersonClock(nn.Module):
    """log(rate / h) of every code that is new to the subject.

    Args:
        vocabulary_size: Tokens.
        num_statics: Static codes.

    Attributes:
        slopes: s_c.
        log_middle: −log h_0, in years.
        log_rates: Log first occurrences per person-year, sex by sex and in each band by band, float32. 0
            until :meth:`set_rates`.
        sex_of_static: Sex that each static index stands for, ``UNKNOWN_SEX`` for none.
        antecedents: Tokens of each code's antecedents, 0 to fill up.
        log_ratio_without, log_ratio_with: Log of what the rate is multiplied by without and with one of them.
    """

    antecedents: Tensor
    log_ratio_without: Tensor
    log_ratio_with: Tensor
    log_rates: Tensor
    log_middle: Tensor
    sex_of_static: Tensor

    def __init__(self, vocabulary_size: int, num_statics: int) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.zeros(vocabulary_size))
        self.register_buffer("log_middle", torch.zeros(()))
        self.register_buffer("log_rates", torch.zeros(SEXES * NUM_BANDS, vocabulary_size))
        self.register_buffer("sex_of_static", torch.full((num_statics + 1,), UNKNOWN_SEX))
        self.register_buffer("antecedents", torch.zeros(vocabulary_size, MOST_ANTECEDENTS, dtype=torch.long))
        self.register_buffer("log_ratio_without", torch.zeros(vocabulary_size))
        self.register_buffer("log_ratio_with", torch.zeros(vocabulary_size))

    def set_rates(
        self, log_rates: Float[Tensor, "sexes bands vocabulary"], sex_of_static: Int[Tensor, " statics"]
    ) -> None:
        """Take over fitted rates and the sexes of the static codes."""
        self.log_rates.copy_(log_rates.flatten(0, 1))
        self.sex_of_static.copy_(sex_of_static)

    def set_antecedents(
        self,
        index: Int[Tensor, "vocabulary most"],
        log_ratio_without: Float[Tensor, " vocabulary"],
        log_ratio_with: Float[Tensor, " vocabulary"],
    ) -> None:
        """Take over antecedents and factors."""
        self.antecedents.copy_(index)
        self.log_ratio_without.copy_(log_ratio_without)
        self.log_ratio_with.copy_(log_ratio_with)

    def sex(self, statics: Int[Tensor, "n statics"]) -> Int[Tensor, " n"]:
        """The sex of the first static code that stands for one."""
        known = self.sex_of_static[statics]
        first = (known != UNKNOWN_SEX).int().argmax(dim=1, keepdim=True)
        return known.gather(1, first).squeeze(1)

    def forward(self, moment: Moment, seen: Bool[Tensor, "n vocabulary"]) -> Float[Tensor, "n vocabulary"]:
        """log(rate / h) with each code's slope, float32; rate per year at the age of the event.

        Args:
            moment: When the event comes.
            seen: Which codes the subject has had; padding is none.
        """
        years = moment.ages.float() / MINUTES_PER_YEAR
        band = (years / BAND_YEARS - 0.5).clamp(0, NUM_BANDS - 1)
        lower = band.long().clamp(max=NUM_BANDS - 2)
        row = self.sex(moment.statics) * NUM_BANDS + lower
        rates = torch.lerp(self.log_rates[row], self.log_rates[row + 1], (band - lower)[:, None])
        log_wait = moment.log_wait.float()[:, None]
        rates = rates + torch.where(self._has_antecedent(seen), self.log_ratio_with, self.log_ratio_without)
        return rates + log_wait + (log_wait - self.log_middle) * self.slopes

    def _has_antecedent(self, seen: Bool[Tensor, "n vocabulary"]) -> Bool[Tensor, "n vocabulary"]:
        """Whether an antecedent of each code was had."""
        found = torch.zeros_like(seen)
        for tokens in self.antecedents.T:
            found |= seen[:, tokens] & (tokens > 0)
        return found
