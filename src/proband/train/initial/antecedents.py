"""Antecedents of a code: rates of a new code for who has had one of them and for who has not.

A second code of a disease mostly follows the first, so its rate by age and sex is an average of two very
different ones: far lower among people who have neither, far higher among those who have the other. Summed
over the codes of a disease, that average expects the disease far too often. So each code has antecedents,
after which it comes several times as often, and its rate is multiplied by one factor for who has had none of
them and by another for who has had any.

For antecedent b and code c, O counts the people of whom c is new after b, and E is c's cumulative rate by age
and sex over their years from b to c or the end of follow-up. Antecedents have O / E of 5 or more; of these
the four that raise the likelihood of c most are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from proband.core.statistics.incidence import OLDEST
from proband.core.units import MINUTES_PER_YEAR
from proband.model.next_event.clock import BAND_YEARS, MOST_ANTECEDENTS, NUM_BANDS, UNKNOWN_SEX
from proband.tokens.dataset import TokenStore
from proband.tokens.vocabulary import BIRTH_TOKEN

_LEAST_RATIO = 5.0
"""O / E of an antecedent."""
_LEAST_EVENTS = 20
"""Times that a code came new after an antecedent. Both are rounded choices of ours."""
_PRIOR_EVENTS = 5.0
"""Events of evidence that a factor of 1 is worth. Rounded choice of ours."""
_NEVER = np.iinfo(np.int64).max
_MOST_SUBJECTS, _MOST_CODES, _MOST_CELLS = 10_000, 2_000, 5_000_000
"""Train subjects read, evenly spaced, codes looked at, those that most of them had, and their product."""


class Antecedents(NamedTuple):
    """Antecedents of every code.

    Attributes:
        tokens: Theirs, 0 (padding) to fill up.
        log_ratio_without: Log of the factor for who has had none of them.
        log_ratio_with: Log of the factor for who has had any.
    """

    tokens: Int[torch.Tensor, "vocabulary most"]
    log_ratio_without: Float[torch.Tensor, " vocabulary"]
    log_ratio_with: Float[torch.Tensor, " vocabulary"]


class _Person(NamedTuple):
    """A train subject as the counts need it; codes by their number among those looked at.

    Attributes:
        age: Age in years at each code's first occurrence, infinite where there was none.
        place: Its position in the record, ``_NEVER`` where there was none.
        entry, leave: Ages in years.
        hazard: Cumulative rates from birth by year of age, of the subject's sex.
    """

    age: Float[np.ndarray, " codes"]
    place: Int[np.ndarray, " codes"]
    entry: float
    leave: float
    hazard: Float[np.ndarray, "ages codes"]

    def lived(self, begin: Float[np.ndarray, "*rows codes"]) -> Float[np.ndarray, "*rows codes"]:
        """Cumulative rate of each code from an age of its own to its first occurrence or the end of
        follow-up."""
        stop, columns = np.minimum(self.age, self.leave), np.arange(len(self.age))
        passed = _at(self.hazard, stop, columns) - _at(self.hazard, np.minimum(begin, stop), columns)
        return np.where(begin < stop, passed, 0.0)

    def is_new(self) -> Bool[np.ndarray, " codes"]:
        """Codes that came for the first time within follow-up."""
        return (self.age > self.entry) & (self.age <= self.leave)


def find_antecedents(
    store: TokenStore, log_rates: Float[torch.Tensor, "sexes bands vocabulary"]
) -> Antecedents:
    """Antecedents of all codes, and the factors, from the train split.

    Args:
        store: The tokens.
        log_rates: Log first occurrences per person-year.
    """
    size = len(store.vocabulary)
    rows = store.rows_of("train")
    rows = rows[:: max(1, -(-len(rows) // _MOST_SUBJECTS))]
    codes = _frequent(store, rows)
    rows = rows[:: max(1, -(-len(rows) * len(codes) // _MOST_CELLS))]
    people = _people(store, rows, codes, log_rates)
    total, whole = (both[0] for both in _counts(people, np.zeros((len(codes), 0), dtype=np.int64)))
    chosen = _choose(*_pairs(people, len(codes)), total, whole)
    tokens = torch.zeros(size, MOST_ANTECEDENTS, dtype=torch.long)
    tokens[codes] = torch.from_numpy(np.where(chosen >= 0, codes[chosen], 0))
    count, mean = _counts(people, chosen)
    ratio = np.log((count + _PRIOR_EVENTS) / (mean + _PRIOR_EVENTS)) * (chosen >= 0).any(axis=1)
    log_ratio = torch.zeros(2, size)
    log_ratio[:, codes] = torch.from_numpy(ratio).float()
    return Antecedents(tokens, *log_ratio)


def _frequent(store: TokenStore, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " codes"]:
    number = np.zeros(len(store.vocabulary), dtype=np.int64)
    for row in rows:
        number[np.unique(store.record(int(row))[0])] += 1
    number[: BIRTH_TOKEN + 1] = 0
    common = np.argsort(-number, kind="stable")[:_MOST_CODES]
    return np.sort(common[number[common] >= _LEAST_EVENTS])


def _people(
    store: TokenStore,
    rows: Int[np.ndarray, " rows"],
    codes: Int[np.ndarray, " codes"],
    log_rates: Float[torch.Tensor, "sexes bands vocabulary"],
) -> list[_Person]:
    middle = (np.arange(NUM_BANDS) + 0.5) * BAND_YEARS
    rates = log_rates[:, :, codes].double().numpy()
    years = np.arange(OLDEST) + 0.5
    by_year = [np.interp(years, middle, one) for sex in rates for one in sex.T]
    yearly = np.exp(np.reshape(by_year, (len(rates), len(codes), OLDEST))).transpose(0, 2, 1)
    hazard = np.pad(yearly.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
    number = np.full(len(store.vocabulary), -1)
    number[codes] = np.arange(len(codes))
    found = []
    for row in rows:
        tokens, minutes = store.record(int(row))
        had, first = np.unique(tokens, return_index=True)
        own = number[had] >= 0
        age, place = np.full(len(codes), np.inf), np.full(len(codes), _NEVER)
        age[number[had[own]]] = minutes[first[own]] / MINUTES_PER_YEAR
        place[number[had[own]]] = first[own]
        female = store.female[row]
        sex = UNKNOWN_SEX if np.isnan(female) else int(female)
        entry, leave = store.entry[row] / MINUTES_PER_YEAR, store.exit[row] / MINUTES_PER_YEAR
        found.append(_Person(age, place, float(entry), float(leave), hazard[sex]))
    return found


def _pairs(people: list[_Person], size: int) -> tuple[np.ndarray, np.ndarray]:
    """O and E of every pair, (antecedents, codes)."""
    after, expected = np.zeros((size, size)), np.zeros((size, size))
    for one in people:
        had = np.flatnonzero(one.age <= one.leave)
        after[had] += one.is_new() & (one.place[had, None] < one.place)
        begin = np.maximum(one.age[had], one.entry)
        expected[had] += one.lived(np.broadcast_to(begin[:, None], (len(had), size)))
    np.fill_diagonal(after, 0)
    return after, expected


def _choose(
    after: np.ndarray, expected: np.ndarray, total: np.ndarray, whole: np.ndarray
) -> Int[np.ndarray, "codes most"]:
    """The antecedents of each code, -1 to fill up, by how much telling them apart raises the likelihood."""
    scale = total / np.maximum(whole, 1e-12)  # O / E is relative to all who had not had the code
    mean = np.maximum(expected * scale, 1e-12)
    rest, rest_mean = np.maximum(total - after, 0.0), np.maximum(whole * scale - mean, 1e-12)
    gain = after * np.log(np.maximum(after, 1e-12) / mean) + rest * np.log(
        np.maximum(rest, 1e-12) / rest_mean
    )
    gain[(after < _LEAST_EVENTS) | (after < _LEAST_RATIO * mean)] = -np.inf
    best = np.argsort(-gain, axis=0, kind="stable")[:MOST_ANTECEDENTS].T
    taken = np.take_along_axis(gain.T, best, axis=1) > 0
    found = np.full((len(total), MOST_ANTECEDENTS), -1, dtype=np.int64)
    found[:, : best.shape[1]] = np.where(taken, best, -1)
    return found


def _counts(
    people: list[_Person], chosen: Int[np.ndarray, "codes most"]
) -> tuple[Float[np.ndarray, "2 codes"], Float[np.ndarray, "2 codes"]]:
    """First occurrences and what the rates expect: before any antecedent, and after the first of them."""
    count, mean = np.zeros((2, len(chosen))), np.zeros((2, len(chosen)))
    for one in people:
        since = np.append(one.age, np.inf)[chosen].min(axis=1, initial=np.inf)
        follows = np.append(one.place, _NEVER)[chosen].min(axis=1, initial=_NEVER) < one.place
        count += one.is_new() & np.stack([~follows, follows])
        later = one.lived(np.maximum(since, one.entry))
        mean += np.stack([one.lived(np.full(len(chosen), one.entry)) - later, later])
    return count, mean


def _at(
    hazard: Float[np.ndarray, "ages codes"],
    age: Float[np.ndarray, "*rows codes"],
    columns: Int[np.ndarray, " codes"],
) -> Float[np.ndarray, "*rows codes"]:
    """Cumulative rates at ages between whole years."""
    age = np.clip(age, 0, OLDEST - 1e-9)
    year = age.astype(np.int64)
    low = hazard[year, columns]
    return low + (age - year) * (hazard[year + 1, columns] - low)
