"""A tiny world whose law is known: a Markov renewal process of a few codes, with death.

From code s the time to the next event is geometric in days with daily probability ``RATES[s]``; the next
code has probabilities ``NEXT[s]``. So risks are exact by a small recursion, and a model that knows the law
can stand in for a trained one.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch
from scipy import stats
from torch import Tensor, nn

from proband.model.config import ModelConfig
from proband.model.next_event.gaps import GapBins, fit_gap_edges
from proband.model.transformer import Proband

CODES = ["PADDING", "MEDS_BIRTH", "X//A", "X//B", "X//C", "X//D", "MEDS_DEATH"]
A, B, C, D, DEATH = range(2, 7)
RATES = {1: 1 / 50, A: 1 / 100, B: 1 / 60, C: 1 / 200, D: 1 / 80}
NEXT = {
    1: [0.6, 0.3, 0.1, 0.0, 0.0],
    A: [0.50, 0.30, 0.13, 0.02, 0.05],
    B: [0.30, 0.35, 0.25, 0.07, 0.03],
    C: [0.25, 0.15, 0.25, 0.15, 0.20],
    D: [0.20, 0.30, 0.20, 0.10, 0.20],
}
START = datetime(1950, 1, 1)
TASK = """
outcomes:
  d: {codes: X//D}
  death: {codes: MEDS_DEATH}
prediction: {years_after_entry: 4}
horizons_years: [5, 1]
"""


def daily_probabilities(bins: GapBins, state: int) -> np.ndarray:
    """The geometric law as bin masses; the bins' own within-bin law then defines the known world."""
    edges = bins.edges.numpy().astype(float)
    survival = (1 - RATES[state]) ** (edges - 1)
    mass = np.concatenate([[0.0], survival[:-1] - survival[1:]])
    return mass / mass.sum()


class KnownLaw(Proband):
    """Implements what the rollout asks of a model, with the exact law; hidden states are one-hot codes.

    Args:
        share_of_d: Probabilities of code D are this share of those above; the rest is code A's.
    """

    def __init__(self, share_of_d: float = 1.0) -> None:
        nn.Module.__init__(self)  # none of the layers, only what the rollout asks
        self.config = ModelConfig(
            vocabulary_size=len(CODES), gap_edges=fit_gap_edges(np.zeros(0, dtype=int), 1440)
        )
        self.bins = GapBins(self.config.gap_edges, 1440)
        self.blocks = nn.ModuleList()
        mass, codes = np.zeros((len(CODES), self.bins.num_bins)), np.zeros((len(CODES), len(CODES)))
        mass[:, 1], codes[:, A] = 1, 1
        for state in NEXT:
            mass[state] = daily_probabilities(self.bins, state)
            codes[state] = 0
            codes[state, A:] = NEXT[state]
            codes[state, A] += (1 - share_of_d) * codes[state, D]
            codes[state, D] *= share_of_d
        self.mass, self.codes = torch.from_numpy(mass), torch.from_numpy(codes)

    @property
    def members(self) -> Tensor:
        return torch.arange(len(CODES))[:, None]

    def stamp_log_waits(self, hidden: Tensor, ages: Tensor) -> Tensor:
        return torch.zeros(ages.shape, dtype=torch.float64)

    def hidden(self, tokens: Tensor, ages: Tensor, statics: Tensor, modalities: dict) -> tuple:
        return nn.functional.one_hot(tokens, len(CODES)).double(), []

    def prepare(self, modalities: dict, batch: int) -> list:
        return []

    def step(self, tokens: Tensor, *_: object) -> Tensor:
        return nn.functional.one_hot(tokens, len(CODES)).double()

    def when(self, hidden: Tensor) -> Tensor:
        return (hidden @ self.mass).log()

    def log_codes(self, hidden: Tensor, gap_bins: Tensor, seen: Tensor, *_: object) -> Tensor:
        return (hidden @ self.codes).log()

    def gap_law(self, days: int) -> np.ndarray:
        """P(gap = g) for g = 0..days, per state (states, days + 1)."""
        steps = torch.arange(days + 1)
        rows = [
            self.bins.log_probability(self.mass[state].log().expand(days + 1, -1), steps).exp().numpy()
            for state in range(len(CODES))
        ]
        return np.stack(rows)


def exact_risk(law: KnownLaw, state: int, days: int, waited: int = 0, outcome: int = D) -> float:
    """P(outcome within ``days`` and before death, or of death itself), by recursion over days.

    Args:
        law: The world.
        state: Last code before the prediction time.
        days: Horizon.
        waited: Days since that code; no event has happened since.
        outcome: Code asked about.
    """
    gaps = law.gap_law(days + waited)
    codes = law.codes.numpy()
    events = np.zeros((days + 1, len(CODES)))  # probability of an event of each code on each day
    first = gaps[state, waited + 1 : waited + days + 1] / (1 - gaps[state, : waited + 1].sum())
    events[1:] = first[:, None] * codes[state]
    for day in range(1, days + 1):
        for code in {A, B, C, D} - {outcome}:
            arriving = events[day, code]
            if arriving:
                events[day + 1 :] += arriving * gaps[code, 1 : days - day + 1, None] * codes[code]
    return float(events[:, outcome].sum())


def exact_net_risk(law: KnownLaw, state: int, days: int, waited: int = 0, outcome: int = D) -> float:
    """P(outcome within ``days``) were nobody to die, by recursion over states and the days spent in them.

    Every code keeps its daily hazard given the days since the last event; death's is taken away.
    """
    gaps = law.gap_law(days + waited)
    at_risk = 1 - np.cumsum(gaps, axis=1) + gaps  # P(gap >= g)
    hazard = np.divide(gaps, at_risk, out=np.zeros_like(gaps), where=at_risk > 1e-12)
    lived = [code for code in (A, B, C, D) if code != outcome]
    codes = law.codes.numpy()
    waiting = np.zeros((len(CODES), days + waited + 1))  # by state and days since its event
    waiting[state, waited] = 1
    risk = 0.0
    for _ in range(days):
        later = np.zeros_like(waiting)
        later[:, 1:] = waiting[:, :-1]
        event = later * hazard
        risk += float((event.sum(1) * codes[:, outcome]).sum())
        waiting = later - event * (1 - codes[:, DEATH])[:, None]
        waiting[lived, 0] += (event.sum(1)[:, None] * codes[:, lived]).sum(0)
    return risk


def exact_pattern_risk(law: KnownLaw, state: int, days: int, within: int, waited: int) -> float:
    """P(D comes at most ``within`` days after a C, by ``days``), by recursion over days since the last C.

    Args:
        law: The world.
        state: Last code before the prediction time.
        days: Horizon.
        within: Days from C to D, at most.
        waited: Days since the last code; no event has happened since.
    """
    gaps, codes, never = law.gap_law(days + waited), law.codes.numpy(), within + 1
    # Probability of an event of each code on each day, by days since the last C before it.
    events = np.zeros((days + 1, len(CODES), never + 1))

    def next_event(code: int, day: int, since: np.ndarray, law_of_gap: np.ndarray) -> None:
        """From an event (or the prediction time) on ``day``, by days since the last C then."""
        for gap, probability in enumerate(law_of_gap[: days - day], start=1):
            later = np.zeros(never + 1)
            later[gap:] = since[: never + 1 - gap] if gap <= never else 0
            later[never] += since[max(0, never + 1 - gap) :].sum()
            events[day + gap] += probability * codes[code][:, None] * later

    first = gaps[state, waited + 1 :] / (1 - gaps[state, : waited + 1].sum())
    next_event(state, 0, np.eye(never + 1)[waited if state == C else never], first)
    risk = 0.0
    for day in range(1, days + 1):
        risk += float(events[day, D, :never].sum())
        events[day, D, :never] = 0
        for code in (A, B, C, D):
            since = events[day, code]
            next_event(code, day, np.eye(never + 1)[0] * since.sum() if code == C else since, gaps[code, 1:])
    return risk


class Geometric:
    """Gaps without memory: a day's probability of the next event is ``RATES[state]``."""

    @staticmethod
    def draw(state: int, rng: np.random.Generator) -> int:
        """A gap in whole days, at least 1."""
        return int(rng.geometric(RATES[state]))

    @staticmethod
    def survival(state: int, days: int) -> float:
        """P(gap > days)."""
        return (1 - RATES[state]) ** days


class Renewal:
    """Gaps with memory, of rising, falling and humped hazards, rounded up to whole days."""

    LAWS: ClassVar = {
        1: stats.weibull_min(3.0, scale=60),
        A: stats.lognorm(0.4, scale=90),
        B: stats.weibull_min(0.7, scale=60),
        C: stats.lognorm(0.8, scale=150),
        D: stats.weibull_min(2.0, scale=100),
    }

    @classmethod
    def draw(cls, state: int, rng: np.random.Generator) -> int:
        """A gap in whole days, at least 1."""
        return max(1, math.ceil(cls.LAWS[state].ppf(rng.random())))

    @classmethod
    def survival(cls, state: int, days: int) -> float:
        """P(gap > days)."""
        return float(cls.LAWS[state].sf(days))


GapLaw = type[Geometric] | type[Renewal]


def simulate(
    num_subjects: int,
    seed: int,
    years: float = 12.0,
    gaps: GapLaw = Geometric,
    entry_years: tuple[float, float] | None = None,
) -> pl.DataFrame:
    """Records of the world as MEDS events, censored after ``years``.

    With ``entry_years``, follow-up begins at a random age between the two, for those who are alive by then;
    what happened to them before is known, but whoever died before is not in the data.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple] = []
    end = round(years * 365.25)
    for subject in range(1, num_subjects + 1):
        entry = round(rng.uniform(*entry_years) * 365.25) if entry_years else 0
        days, states = _life(gaps, end, rng)
        while states and states[-1] == DEATH and days[-1] <= entry:
            days, states = _life(gaps, end, rng)
        rows.append((subject, None, "Gender//F" if subject % 2 else "Gender//M"))
        rows.append((subject, START, "MEDS_BIRTH"))
        rows += [
            (subject, START + timedelta(days=day), CODES[state])
            for day, state in zip(days, states, strict=True)
        ]
        if not states or states[-1] != DEATH:
            rows.append((subject, START + timedelta(days=end), "OBSERVATION_PERIOD//END"))
        rows.append((subject, START + timedelta(days=entry), "OBSERVATION_PERIOD//START"))
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    values = frame.with_columns(
        pl.lit(None, pl.Float32).alias("numeric_value"), pl.lit(None, pl.String).alias("unit")
    )
    return values.sort("subject_id", "time", nulls_last=False, maintain_order=True)


def _life(gaps: GapLaw, end: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Days and states of one subject's events until death or ``end``."""
    days: list[int] = []
    states: list[int] = []
    state, day = 1, 0
    while state != DEATH:
        day += gaps.draw(state, rng)
        if day > end:
            break
        state = int(rng.choice(range(A, DEATH + 1), p=NEXT[state]))
        days.append(day)
        states.append(state)
    return days, states


def write_meds(events: pl.DataFrame, folder: Path) -> Path:
    """Write events as a split MEDS folder: 70% train, 15% tuning, 15% held_out."""
    ids = events["subject_id"].unique().sort()
    cut = [0, round(len(ids) * 0.7), round(len(ids) * 0.85), len(ids)]
    for at, split in enumerate(("train", "tuning", "held_out")):
        (folder / "data" / split).mkdir(parents=True, exist_ok=True)
        part = events.filter(pl.col("subject_id").is_in(ids[cut[at] : cut[at + 1]].to_list()))
        part.write_parquet(folder / "data" / split / "0.parquet")
    return folder
