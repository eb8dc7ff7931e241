"""People with risks of several models and what happened to them, followed to the horizon unless told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from proband.core.seeds import generator
from proband.evaluate.panel.gain import PairedRisks

WHEN = datetime(2015, 1, 1)
HORIZON = 10.0


def rows_of(
    outcome: str, time: np.ndarray, event: np.ndarray, risks: Mapping[str, np.ndarray]
) -> pl.DataFrame:
    """Labels of one outcome with a column of risks for each model; subjects are numbered from 0."""
    number = len(time)
    return pl.DataFrame(
        {
            "subject_id": np.arange(number),
            "prediction_time": pl.Series([WHEN] * number, dtype=pl.Datetime("us")),
            "outcome": [outcome] * number,
            "split": ["held_out"] * number,
            "time_years": np.asarray(time, dtype=float),
            "event": pl.Series(event, dtype=pl.Int8),
            **{name: np.asarray(risk, dtype=float) for name, risk in risks.items()},
        }
    )


def paired(rows: Mapping[str, pl.DataFrame], replicates: int = 20, seed: int = 0) -> PairedRisks:
    """Resamples of them; all outcomes are of the same subjects."""
    number = next(iter(rows.values())).height
    drawn = generator(seed, "people").multinomial(number, np.full(number, 1 / number), replicates)
    return PairedRisks(rows, HORIZON, np.vstack([np.ones(number), drawn]), np.arange(number))


def drawn_people(
    outcomes: Mapping[str, float], noise: Mapping[str, float], number: int = 400, seed: int = 0
) -> PairedRisks:
    """People whose true risk is known; each model's risk is the true one, with noise on its log odds.

    Args:
        outcomes: Name and mean risk of each.
        noise: Name of each model and standard deviation of its noise, in log odds.
        number: Of people.
        seed: Of all draws.
    """
    random = np.random.default_rng(seed)
    rows = {}
    for name, mean in outcomes.items():
        log_odds = np.log(mean / (1 - mean)) + 1.5 * random.standard_normal(number)
        case = random.random(number) < 1 / (1 + np.exp(-log_odds))
        time = np.where(case, random.uniform(0, HORIZON, number), HORIZON + 1)
        risks = {
            model: 1 / (1 + np.exp(-log_odds - spread * random.standard_normal(number)))
            for model, spread in noise.items()
        }
        rows[name] = rows_of(name, time, case.astype(int), risks)
    return paired(rows, seed=seed)
