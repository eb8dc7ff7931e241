"""What delphi.py measures beside the joint likelihood: the next type given history alone, and disease AUC.

The transformer and the age-sex table are both read into :class:`Positions`, so one protocol serves both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

BAND_YEARS = 5
MIN_CASES = 25
DAYS_PER_YEAR = 365.25
RATE_HORIZON_DAYS = BAND_YEARS * DAYS_PER_YEAR


@dataclass(frozen=True)
class Positions:
    """Every position of some subjects' records that an event may follow, birth included.

    Attributes:
        subject: Index of the subject.
        sex: 0 unknown, 1, 2.
        day: Age in days.
        following: Code index of the event right after, -1 after the last.
        following_day: Its age in days.
        rates: Events per day of each code, (positions, codes).
        nats: −log p(code of the next event | history), NaN after the last.
    """

    subject: np.ndarray
    sex: np.ndarray
    day: np.ndarray
    following: np.ndarray
    following_day: np.ndarray
    rates: np.ndarray
    nats: np.ndarray

    @property
    def cross_entropy(self) -> float:
        """Nats per event of its type, given history alone."""
        return float(np.nanmean(self.nats))


def model_positions(model: Any, store: Any, rows: np.ndarray, context: int) -> Positions:
    """Read a trained model: Σ over gap bins of p(bin) p(code | bin), and events over expected days."""
    import torch

    from proband.tokens.loader import sequential_batches

    parts: list[tuple[np.ndarray, ...]] = []
    with torch.no_grad():
        for batch in sequential_batches(store, rows, context, 4096):
            parts.append(_read_batch(model, batch))
    subject, sex, day, following, following_day, rates, nats = map(np.concatenate, zip(*parts, strict=True))
    return Positions(subject, sex, day, following, following_day, rates, nats)


def closed_form_positions(model: Any, store: Any, rows: np.ndarray) -> Positions:
    """Read onset hazards: cumulative hazards over five years at every position, in place of rates.

    Codes that are no task have 0; nats per event are not asked.
    """
    import torch

    from proband.core.units import MINUTES_PER_DAY
    from proband.train.onset.queries import read_queries

    sizes = np.diff(store.offsets)[rows]
    own = np.repeat(rows, sizes).astype(np.int64)
    at = np.concatenate([np.arange(store.offsets[row], store.offsets[row + 1]) for row in rows])
    minutes = np.asarray(store.minutes)[at].astype(np.int64)
    tokens = np.asarray(store.tokens)[at].astype(np.int64)
    last = np.r_[own[1:] != own[:-1], True]
    queries = read_queries(model, store, {}, own, minutes, {})
    tasks = [task.tokens for task in model.onset.config.tasks]
    rates = np.zeros((len(at), len(store.vocabulary.codes)), dtype=np.float32)
    columns = [(number, token) for number, (token, *others) in enumerate(tasks) if not others]
    numbers, codes = map(list, zip(*columns, strict=True))
    with torch.no_grad():
        for begin in range(0, len(at), 1024):
            some = np.arange(begin, min(begin + 1024, len(at)))
            query = queries.batch(some)
            log_ratio = model.onset.calibrated(query)
            total = model.onset.log_expected(query.age, query.female, log_ratio, BAND_YEARS)
            rates[np.ix_(some, codes)] = total[:, numbers].exp().numpy()
    return Positions(
        subject=own,
        sex=np.asarray(store.statics)[own].max(axis=1),
        day=minutes // MINUTES_PER_DAY,
        following=np.where(last, -1, np.roll(tokens, -1)),
        following_day=np.roll(minutes, -1) // MINUTES_PER_DAY,
        rates=rates,
        nats=np.full(len(at), np.nan),
    )


def _read_batch(model: Any, batch: Any) -> tuple[np.ndarray, ...]:
    import torch

    from proband.core.units import MINUTES_PER_DAY
    from proband.model.next_event.clock import Moment

    hidden, _ = model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
    first = model.first_positions(batch.tokens, batch.seen_before)
    rows, at = (batch.tokens > 0).nonzero(as_tuple=True)
    own_stamp = model.stamp_log_waits(hidden, batch.ages)[rows, at]
    hidden, seen = hidden[rows, at], first[rows] <= at[:, None]
    mass = model.when(hidden).exp()
    edges = model.bins.edges
    share, days = _bins_until(edges.numpy(), RATE_HORIZON_DAYS)
    middles = torch.cat([edges.new_zeros(1), (edges[:-1] * (edges[1:] - 1)).double().sqrt().long()])
    log_mass = mass.log()
    whole, near = torch.zeros(len(rows), seen.shape[1]), torch.zeros(len(rows), seen.shape[1])
    for number in range(mass.shape[1]):
        bins = torch.full((len(rows),), number)
        steps = middles[number].expand(len(rows))
        log_wait = model.bins.log_wait(log_mass, steps) if number else own_stamp
        moment = Moment(batch.ages[rows, at] + steps * MINUTES_PER_DAY, log_wait, batch.statics[rows])
        joint = mass[:, number, None] * model.log_codes(hidden, bins, seen, moment).exp()
        whole += joint
        near += joint * share[number]
    rates = near / (mass @ torch.from_numpy(days).float())[:, None]
    target = batch.next_tokens[rows, at]
    nats = -whole.gather(1, target[:, None]).squeeze(1).log()
    follows = target > 0
    day = batch.ages[rows, at] // MINUTES_PER_DAY
    tensors = (
        batch.rows[rows],
        batch.statics[rows].amax(1),
        day,
        torch.where(follows, target, -1),
        day + batch.gaps[rows, at] // MINUTES_PER_DAY,
        rates,
        torch.where(follows, nats, torch.nan),
    )
    return tuple(tensor.numpy() for tensor in tensors)


def _bins_until(edges: np.ndarray, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Per gap bin, the share of its events within ``horizon`` days and the mean days waited until then."""
    low, high = edges[:-1].astype(float), edges[1:].astype(float)
    cut, width = np.clip(horizon, low, high), np.log(high / low)
    share = np.log(cut / low) / width
    days = (cut - low) / width + horizon * (1 - share)
    return np.r_[1.0, share], np.r_[0.5, days]


def disease_aucs(positions: Positions, diseases: Iterable[int], seed: int = 0) -> dict[int, float]:
    """AUC per disease, in strata of sex and 5-year age band, without a gap before the event.

    A case's score is its rate of the disease at the last position before the day of its first diagnosis, in
    the band of that position's age. A control never has the disease; its score is taken at one position of
    the same sex and band, drawn at random. Ties count half. Strata are averaged by their cases.

    Args:
        positions: Of all subjects.
        diseases: Code indices.
        seed: Of the draw of controls' positions.
    """
    band = (positions.day / DAYS_PER_YEAR / BAND_YEARS).astype(int)
    stratum = positions.sex * 1000 + band
    drawn = _one_per_subject_and_stratum(positions.subject, stratum, seed)
    found = {}
    for disease in diseases:
        cases = _case_positions(positions, disease)
        had = np.unique(positions.subject[positions.following == disease])
        controls = drawn[~np.isin(positions.subject[drawn], had)]
        total, number = 0.0, 0
        for value in np.unique(stratum[cases]):
            case = positions.rates[cases[stratum[cases] == value], disease]
            control = positions.rates[controls[stratum[controls] == value], disease]
            if len(control):
                total += len(case) * auc(case, control)
                number += len(case)
        if number:
            found[int(disease)] = total / number
    return found


def _one_per_subject_and_stratum(subject: np.ndarray, stratum: np.ndarray, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(subject))
    _, first = np.unique(np.stack([subject[order], stratum[order]]), axis=1, return_index=True)
    return order[first]


def _case_positions(positions: Positions, disease: int) -> np.ndarray:
    """The last position before the day of each case's diagnosis."""
    found = []
    for at in np.flatnonzero(positions.following == disease):
        day = positions.following_day[at]
        while positions.day[at] == day and at > 0 and positions.subject[at - 1] == positions.subject[at]:
            at -= 1
        found.append(at)
    return np.array(found)


def auc(cases: np.ndarray, controls: np.ndarray) -> float:
    """P(case above control) + half P(equal)."""
    ordered = np.sort(controls)
    below, through = np.searchsorted(ordered, cases, "left"), np.searchsorted(ordered, cases, "right")
    return float((below + through).mean() / (2 * len(controls)))
