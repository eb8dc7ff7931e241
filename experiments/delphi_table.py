"""The age-sex table that delphi.py compares with: constant rates per code, sex and 5-year age band."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from delphi_scores import BAND_YEARS, DAYS_PER_YEAR, Positions

NUM_BANDS = 100 // BAND_YEARS
BAND_DAYS = BAND_YEARS * DAYS_PER_YEAR
PRIOR_EVENTS = (0.1, 0.3, 1.0, 3.0, 10.0)


class AgeSexTable:
    """Rates shrunk to the code's rate over all ages by ``prior_events``.

    A code already had has no rate; a code never seen has the rate of half an event over all follow-up.

    Args:
        exposure, counts: Days at risk and events, each (sex, band, code).
        index: Column of each code.
        prior_events: Weight of the rate over all ages, in events.
    """

    def __init__(
        self, exposure: np.ndarray, counts: np.ndarray, index: dict[str, int], prior_events: float
    ) -> None:
        self.index = index
        overall = (counts.sum((0, 1)) + 0.5) / exposure.sum((0, 1))
        self.rates = (counts + prior_events) / (exposure + prior_events / overall)

    @classmethod
    def fitted(cls, train: pl.DataFrame, tuning: pl.DataFrame, codes: list[str]) -> AgeSexTable:
        """The table of train events whose shrinkage suits the tuning events best."""
        index = {code: at for at, code in enumerate(codes)}
        exposure, counts = tally(train, index)
        tables = [cls(exposure, counts, index, prior) for prior in PRIOR_EVENTS]
        return min(tables, key=lambda table: table.nats_per_event(tuning))

    def nats_per_event(self, events: pl.DataFrame) -> float:
        """Joint NLL per event: integrated rates of codes not yet had, less log rates of what happened."""
        nats, number = 0.0, 0
        for sex, days, codes in subjects_of(events, self.index):
            nats += float(overlap_days(days[-1]) @ self.rates[sex].sum(1))
            for day, code in zip(days, codes, strict=True):
                rest = overlap_days(days[-1]) - overlap_days(day)
                nats -= float(rest @ self.rates[sex, :, code]) + np.log(self.rates[sex, band_of(day), code])
            number += len(days)
        return nats / number

    def positions(self, events: pl.DataFrame) -> Positions:
        """Every position read through the table; its rates are interpolated between the bands' middles.

        Constant within a stratum, they would have an AUC of one half by construction.
        """
        rows: list[tuple] = []
        for number, (sex, days, codes) in enumerate(subjects_of(events, self.index)):
            open_rates = self.rates[sex].copy()
            for day, following, code in zip([0, *days], [*days, -1], [*codes, -1], strict=True):
                nats = -np.log(self.next_code(open_rates, day)[code]) if code >= 0 else np.nan
                rows.append((number, sex, day, code, following, nats))
                if code >= 0:
                    open_rates[:, code] = 0
        subjects, sexes, ages, seen, next_ages, losses = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        return Positions(subjects, sexes, ages, seen, next_ages, self._at(sexes, ages), losses)

    @staticmethod
    def next_code(rates: np.ndarray, day: float) -> np.ndarray:
        """P(code of the next event) from ``day`` on: Σ over bands of P(the event falls there) times share."""
        days = overlap_days(np.inf) - overlap_days(day)
        total = rates.sum(1)
        reached = np.exp(-np.r_[0.0, np.cumsum(total * days)[:-1]])
        inside = reached * -np.expm1(-total * days)
        return (inside / total) @ rates

    def _at(self, sex: np.ndarray, day: np.ndarray) -> np.ndarray:
        at = np.clip(day / BAND_DAYS - 0.5, 0, NUM_BANDS - 1)
        low = np.minimum(at.astype(int), NUM_BANDS - 2)
        share = (at - low)[:, None]
        return (self.rates[sex, low] * (1 - share) + self.rates[sex, low + 1] * share).astype(np.float32)


def tally(events: pl.DataFrame, index: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Days at risk and events, each (sex, band, code)."""
    shape = (3, NUM_BANDS, len(index))
    exposure, counts = np.zeros(shape), np.zeros(shape)
    for sex, days, codes in subjects_of(events, index):
        exposure[sex] += overlap_days(days[-1])[:, None]
        for day, code in zip(days, codes, strict=True):
            counts[sex, band_of(day), code] += 1
            exposure[sex, :, code] -= overlap_days(days[-1]) - overlap_days(day)
    return np.maximum(exposure, 1e-9), counts


def subjects_of(events: pl.DataFrame, index: dict[str, int]) -> Iterator[tuple[int, np.ndarray, list[int]]]:
    """Per subject with events: sex (0 unknown, 1, 2), days and code indices, in order of time."""
    for _, group in events.group_by("subject_id", maintain_order=True):
        clinical = group.filter(~pl.col("code").str.starts_with("SEX//"))
        sexes = group.filter(pl.col("code").str.starts_with("SEX//"))["code"].to_list()
        if clinical.height:
            sex = 0 if not sexes else 1 + (sexes[0] == "SEX//Male")
            yield sex, clinical["days"].to_numpy(), [index[code] for code in clinical["code"]]


def overlap_days(until: float) -> np.ndarray:
    """Days lived in each age band before ``until``; the last band has no end."""
    edges = np.arange(NUM_BANDS) * BAND_DAYS
    return np.clip(until - edges, 0, np.r_[np.full(NUM_BANDS - 1, BAND_DAYS), np.inf])


def band_of(day: float) -> int:
    return min(int(day / BAND_DAYS), NUM_BANDS - 1)
