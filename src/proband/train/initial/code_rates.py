"""Rates of first occurrences by age and sex, and what the code head starts from, fitted on the train split.

A code's first occurrences after entry are counted over the years that people lived without it, by sex and
year of age, and smoothed by the one smoother of incidence (:mod:`proband.core.statistics.incidence`). The
code head then starts so that it expects every code as often, as new to the subject, as it is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.batch import EVENT, Batch
from proband.core.sex import female_of
from proband.core.statistics.incidence import OLDEST, hide_small_counts, person_years, smooth_rates
from proband.core.units import MINUTES_PER_YEAR
from proband.model.next_event.clock import BAND_YEARS, FEMALE, MALE, NUM_BANDS, UNKNOWN_SEX
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows

_PRIOR_EVENTS = 0.5
"""Events that every code is held to have had at least, in each sex: so none that can happen is impossible."""
_SAMPLE_EVENTS, _SAMPLE_LOGITS = 20_000, 1 << 25
"""Train events by which the start is fitted: so many, or so many times the vocabulary."""
_ROUNDS = 20
_BATCH_ROWS = 16


class FirstOccurrences(NamedTuple):
    """First occurrences of all codes among train subjects, sorted by code; ages in years.

    Attributes:
        token: The code.
        start: Row of ``people`` to whom it happened.
        age: When.
        people: Entry, exit and sex of each train subject: 1 female, 0 male.
    """

    token: Int[np.ndarray, " firsts"]
    start: Int[np.ndarray, " firsts"]
    age: Float[np.ndarray, " firsts"]
    people: Float[np.ndarray, "subjects 3"]


def sexes_of_statics(statics: tuple[str, ...]) -> Int[Tensor, " statics"]:
    """The sex that each static index stands for; index 0 is none."""
    found = [female_of(code) for code in statics]
    known = [UNKNOWN_SEX if sex is None else FEMALE if sex else MALE for sex in found]
    return torch.tensor([UNKNOWN_SEX, *known])


def log_rates(store: TokenStore) -> Float[Tensor, "sexes bands vocabulary"]:
    """Log first occurrences per person-year of train subjects: male, female, sex not known (their mean).

    At risk is who has not had the code, from entry to its first occurrence or the end of follow-up; who had
    it at or before entry is not. Subjects of unknown sex are left out, unless it is known of nobody. A sex
    that nobody has takes the rates of the other; one with few first occurrences has none of its own
    (:func:`proband.core.statistics.incidence.hide_small_counts`). A rate is at least that of half an event in
    all years that the sex was followed.
    """
    firsts = _first_occurrences(store)
    entry, leave, sex = firsts.people.T
    followed = np.stack([person_years(entry[sex == code], leave[sex == code]) for code in (MALE, FEMALE)])
    floor = _PRIOR_EVENTS / np.maximum(followed.sum(axis=1, keepdims=True), 1.0)
    middle = slice(BAND_YEARS // 2, OLDEST, BAND_YEARS)
    table = np.empty((3, NUM_BANDS, len(store.vocabulary)))
    ends = np.searchsorted(firsts.token, np.arange(len(store.vocabulary) + 1))
    for token in range(len(store.vocabulary)):
        here = slice(ends[token], ends[token + 1])
        count, lost = _counts(firsts.age[here], firsts.people[firsts.start[here]])
        lived = np.maximum(followed - lost, 0.0)
        count = hide_small_counts(count, lived, store.vocabulary.min_subjects)
        rates = smooth_rates(count, lived) if count.any() else np.zeros_like(count)
        table[:UNKNOWN_SEX, :, token] = np.maximum(rates, floor)[:, middle]
    for sex, other in ((MALE, FEMALE), (FEMALE, MALE)):
        if not followed[sex].any():
            table[sex] = table[other]
    table[UNKNOWN_SEX] = table[:UNKNOWN_SEX].mean(axis=0)
    return torch.from_numpy(np.log(table)).float()


def _first_occurrences(store: TokenStore) -> FirstOccurrences:
    rows = store.rows_of("train")
    found = [np.unique(store.record(int(row))[0], return_index=True) for row in rows]
    tokens = np.concatenate([codes for codes, _ in found])
    index = np.concatenate([first + store.offsets[row] for (_, first), row in zip(found, rows, strict=True)])
    start = np.repeat(np.arange(len(rows)), [len(codes) for codes, _ in found])
    sex = store.female[rows]
    if np.isnan(sex).all():
        sex = np.zeros_like(sex)
    people = np.stack(
        [store.entry[rows] / MINUTES_PER_YEAR, store.exit[rows] / MINUTES_PER_YEAR, sex], axis=1
    )
    order = np.argsort(tokens, kind="stable")
    return FirstOccurrences(
        tokens[order], start[order], store.minutes[index[order]] / MINUTES_PER_YEAR, people
    )


def _counts(
    age: Float[np.ndarray, " had"], people: Float[np.ndarray, "had 3"]
) -> tuple[Float[np.ndarray, "sexes ages"], Float[np.ndarray, "sexes ages"]]:
    """First occurrences of a code after entry, and years of follow-up lived after it or after having had it
    at entry, by sex and year of age."""
    entry, leave, sex = people.T
    count, lost = np.zeros((UNKNOWN_SEX, OLDEST)), np.zeros((UNKNOWN_SEX, OLDEST))
    is_event = (age > entry) & np.isfinite(sex)
    years = np.minimum(age[is_event].astype(int), OLDEST - 1)
    np.add.at(count, (sex[is_event].astype(int), years), 1)
    for code in (MALE, FEMALE):
        own = sex == code
        lost[code] = person_years(np.maximum(age, entry)[own], leave[own])
    return count, lost


@torch.no_grad()
def fit_new_ratio(
    store: TokenStore,
    model: Proband,
    num_new: Float[np.ndarray, " vocabulary"],
    num_events: int,
    repeat_rate: Float[Tensor, " vocabulary"],
) -> Float[Tensor, " vocabulary"]:
    """By what a new code's expected number since the last time stamp is to be multiplied, so that at the
    start the head expects each code, as new, as often as it was seen in the train split.

    Found by proportional fitting: expected under the present ratios over a sample of train events, times
    observed over expected, a few times. The trunk's part of the logits is near 0 then and left out.

    Args:
        store: The tokens.
        model: With its rates and the biases of the gap set.
        num_new: How often each code was the next event of a subject who had not had it.
        num_events: Scored train events.
        repeat_rate: Share of events that are a code, after it was had.
    """
    head, size = model.what, len(store.vocabulary)
    num_sampled = min(_SAMPLE_EVENTS, _SAMPLE_LOGITS // size)
    seen, clock, log_wait = _sample(store, model, num_sampled)
    head.clock.log_middle.copy_(log_wait.mean())
    scale = num_events / max(1, len(seen))
    had = repeat_rate.float().log().masked_fill(head.blocked | head.once, -torch.inf)
    log_ratio = torch.zeros(size).masked_fill(head.blocked, -torch.inf)
    observed = torch.from_numpy(num_new).float()
    for _ in range(_ROUNDS):
        share = torch.where(seen, had, clock + log_ratio).softmax(-1)
        expected = share.masked_fill_(seen, 0).sum(0) * scale
        log_ratio += ((observed + _PRIOR_EVENTS) / (expected + _PRIOR_EVENTS)).log()
    return log_ratio.masked_fill(head.blocked, 0.0).exp()


class _Sample(NamedTuple):
    """Scored train events, as the code head meets them.

    Attributes:
        seen: Which codes were had before.
        clock: What the clock gives the others.
        log_wait: −log h.
    """

    seen: Bool[Tensor, "events vocabulary"]
    clock: Float[Tensor, "events vocabulary"]
    log_wait: Float[Tensor, " events"]


def _sample(store: TokenStore, model: Proband, num_events: int) -> _Sample:
    """About so many scored events of train subjects drawn at random."""
    parts, number = [], 0
    for batch in _spread_batches(store, model.config.context, num_events):
        first = model.first_positions(batch.tokens, batch.seen_before)
        rows, positions = (batch.target == EVENT).nonzero(as_tuple=True)
        no_state = torch.zeros(*batch.tokens.shape, model.config.dim)
        moment = model.moment(no_state, batch, (rows, positions))
        seen = first[rows] <= positions[:, None]
        parts.append(_Sample(seen, model.what.clock(moment, seen), moment.log_wait))
        number += len(rows)
        if number >= num_events:
            break
    return _Sample(*(torch.cat(part)[:num_events] for part in zip(*parts, strict=True)))


def _spread_batches(store: TokenStore, context: int, num_events: int) -> Iterator[Batch]:
    rows = store.rows_of("train")
    mean_length = float(np.diff(store.offsets)[rows].mean())
    wanted = min(len(rows), 2 * int(num_events / mean_length) + _BATCH_ROWS)
    spread = rows[np.linspace(0, len(rows) - 1, wanted).astype(int)]
    order = np.random.default_rng(0).permutation(spread)
    for begin in range(0, wanted, _BATCH_ROWS):
        yield load_batch(store, make_windows(store, np.unique(order[begin : begin + _BATCH_ROWS]), context))
