"""A tiny world whose law is known: a Markov renewal process of a few codes, with death.

From code s the time to the next event is geometric in days with daily probability ``RATES[s]``; the next
code has probabilities ``NEXT[s]``. So risks are exact by a small recursion, and a model that knows the law
can stand in for a trained one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from proband.model.config import ModelConfig
from proband.model.gaps import GapBins, fit_gap_edges
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


def daily_probabilities(bins: GapBins, state: int) -> np.ndarray:
    """The geometric law as bin masses; the bins' own within-bin law then defines the known world."""
    edges = bins.edges.numpy().astype(float)
    survival = (1 - RATES[state]) ** (edges - 1)
    mass = np.concatenate([[0.0], survival[:-1] - survival[1:]])
    return mass / mass.sum()


class KnownLaw(Proband):
    """Implements what the rollout asks of a model, with the exact law; hidden states are one-hot codes."""

    def __init__(self) -> None:
        nn.Module.__init__(self)  # none of the layers, only what the rollout asks
        self.config = ModelConfig(
            vocabulary_size=len(CODES), gap_edges=fit_gap_edges(np.zeros(0, dtype=int), 1440)
        )
        self.bins = GapBins(self.config.gap_edges, 1440)
        mass, codes = np.zeros((len(CODES), self.bins.num_bins)), np.zeros((len(CODES), len(CODES)))
        mass[:, 1], codes[:, A] = 1, 1
        for state in NEXT:
            mass[state] = daily_probabilities(self.bins, state)
            codes[state] = 0
            codes[state, A:] = NEXT[state]
        self.mass, self.codes = torch.from_numpy(mass), torch.from_numpy(codes)

    def hidden(self, tokens: Tensor, ages: Tensor, statics: Tensor, modalities: dict) -> tuple:
        empty = torch.zeros(len(tokens), 1, tokens.shape[1], 4)
        return nn.functional.one_hot(tokens, len(CODES)).double(), [(empty, empty)]

    def step(self, tokens: Tensor, *_: object) -> Tensor:
        return nn.functional.one_hot(tokens, len(CODES)).double()

    def when(self, hidden: Tensor) -> Tensor:
        return (hidden @ self.mass).log()

    def log_codes(self, hidden: Tensor, gap_bins: Tensor, seen: Tensor) -> Tensor:
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


def simulate(num_subjects: int, seed: int, years: float = 12.0) -> pl.DataFrame:
    """Records of the world as MEDS events, censored after ``years``."""
    rng = np.random.default_rng(seed)
    rows = []
    for subject in range(1, num_subjects + 1):
        rows.append((subject, None, "Gender//F" if subject % 2 else "Gender//M"))
        rows.append((subject, START, "MEDS_BIRTH"))
        state, day, end = 1, 0, round(years * 365.25)
        while True:
            day += int(rng.geometric(RATES[state]))
            if day > end:
                rows.append((subject, START + timedelta(days=end), "OBSERVATION_PERIOD//END"))
                break
            state = int(rng.choice(range(A, DEATH + 1), p=NEXT[state]))
            rows.append((subject, START + timedelta(days=day), CODES[state]))
            if state == DEATH:
                break
        rows.append((subject, START, "OBSERVATION_PERIOD//START"))
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    values = frame.with_columns(
        pl.lit(None, pl.Float32).alias("numeric_value"), pl.lit(None, pl.String).alias("unit")
    )
    return values.sort("subject_id", "time", nulls_last=False, maintain_order=True)


def write_meds(events: pl.DataFrame, folder: Path) -> Path:
    """Write events as a split MEDS folder: 70% train, 15% tuning, 15% held_out."""
    ids = events["subject_id"].unique().sort()
    cut = [0, round(len(ids) * 0.7), round(len(ids) * 0.85), len(ids)]
    for at, split in enumerate(("train", "tuning", "held_out")):
        (folder / "data" / split).mkdir(parents=True, exist_ok=True)
        part = events.filter(pl.col("subject_id").is_in(ids[cut[at] : cut[at + 1]].to_list()))
        part.write_parquet(folder / "data" / split / "0.parquet")
    return folder
