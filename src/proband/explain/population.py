"""What the genome does in a population: incidence by decile of a score, and decisions that it changes.

Predictions explained and genotyped, with what followed them: risks with and without the genome beside the
cumulative incidence observed (Aalen and Johansen), death competing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int

from proband.core.seeds import generator
from proband.core.units import MINUTES_PER_YEAR
from proband.evaluate.metrics.censoring import aalen_johansen
from proband.evaluate.metrics.compare import Resamples, interval, stack
from proband.explain.alignment.effects import own_scores
from proband.explain.attribution.standard import Standard, standardised
from proband.explain.inputs import Asked
from proband.explain.tables import POPULATION
from proband.tokens.history.onsets import first_occurrences
from proband.tokens.modalities.modality import GENOME

DECILE, DECISION = "decile", "decision"
GROUPS = ("below both times", "above only with genome", "above only without", "above both times")
NUM_GROUPS = 10
_REPLICATES = 200


def population_frame(
    asked: Asked, standard: Standard, genomes: pl.DataFrame, threshold: float, seed: int
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.POPULATION`.

    Args:
        asked: The question.
        standard: Scores of the train split.
        genomes: A frame of :data:`~proband.explain.tables.GENOMES`.
        threshold: Risk from which on one would act.
        seed: Of the resamples.
    """
    numbered = asked.points.frame.with_row_index("point")
    z = standardised(asked.head, GENOME, asked.tables[GENOME], asked.points.rows)
    percentile = standard.percentiles(z)
    correlation = standard.correlations()
    parts = [POPULATION.empty()]
    for outcome, name in enumerate(asked.outcomes):
        score = shown_score(asked, standard, outcome, correlation)
        for horizon in asked.horizons_years:
            rows = genomes.filter(outcome=name, horizon_years=horizon)
            rows = rows.join(numbered, on=["subject_id", "prediction_time"], maintain_order="left")
            point = rows["point"].to_numpy().astype(np.int64)
            time, event = followed(asked, point, outcome)
            kept = ~had_within_gap(asked.gap_years, time, event)
            rows, point, time, event = rows.filter(kept), point[kept], time[kept], event[kept]
            decile = np.minimum(percentile[point, score] * NUM_GROUPS / 100, NUM_GROUPS - 1).astype(int)
            above = [rows[column].to_numpy() >= threshold for column in ("risk", "risk_without")]
            decision = above[0] + 2 * above[1]
            rng = generator(seed, "population", name, horizon)
            found = [
                *_groups(decile, [str(at + 1) for at in range(NUM_GROUPS)], rows, time, event, horizon, rng),
                *_groups(decision, list(GROUPS), rows, time, event, horizon, rng),
            ]
            views = [DECILE] * NUM_GROUPS + [DECISION] * len(GROUPS)
            scores = [standard.names[score]] * NUM_GROUPS + [None] * len(GROUPS)
            lines = [
                (name, horizon, *pair, *line)
                for *pair, line in zip(views, scores, found, strict=True)
                if line[1]
            ]
            parts.append(pl.DataFrame(lines, schema=dict(POPULATION.columns), orient="row"))
    return pl.concat(parts)


def shown_score(
    asked: Asked, standard: Standard, outcome: int, correlation: Float64[np.ndarray, "scores scores"]
) -> int:
    """The outcome's own score of the largest learnt effect; without one, the score of the largest effect."""
    beta = asked.head.linear_of(GENOME).beta[:, asked.tasks[outcome]].abs().double().numpy()
    own = own_scores(asked, standard, asked.outcomes[outcome], correlation)["is_own"].to_numpy()
    return int(np.argmax(np.where(own, beta, -1.0) if own.any() else beta))


def followed(
    asked: Asked, points: Int[np.ndarray, " n"], outcome: int
) -> tuple[Float64[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Years from each prediction to what ended it, and that: 1 the outcome, 2 death before it, 0 neither."""
    store, rows, start = asked.store, asked.points.rows[points], asked.points.start[points]
    tokens = asked.head.config.tasks[asked.tasks[outcome]].tokens
    first = first_occurrences(store, rows, [tokens])[:, 0].astype(np.int64)
    exit_ = store.exit[rows].astype(np.int64)
    event = np.where(first <= exit_, 1, np.where(store.died[rows], 2, 0))
    return (np.minimum(first, exit_) - start) / MINUTES_PER_YEAR, event.astype(np.int64)


def had_within_gap(
    gap_years: float, time_years: Float64[np.ndarray, " n"], event: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Who had the outcome within the task's blanking gap, and has no label; who died in it has one."""
    return (event == 1) & (time_years <= gap_years)


def _groups(
    group: Int[np.ndarray, " n"],
    names: list[str],
    rows: pl.DataFrame,
    time: Float64[np.ndarray, " n"],
    event: Int[np.ndarray, " n"],
    horizon: float,
    rng: np.random.Generator,
) -> Iterator[tuple]:
    """Name, subjects, cases, mean risks, observed incidence and its 95% interval of each group."""
    subject, risk, without = (rows[name].to_numpy() for name in ("subject_id", "risk", "risk_without"))
    for number, name in enumerate(names):
        members = np.flatnonzero(group == number)
        if not len(members):
            yield (name, 0, 0, None, None, None, None, None)
            continue
        blocks = [
            aalen_johansen(time[members], event[members], horizon, weights)
            for weights in Resamples(subject[members], _REPLICATES, rng).weights(subject[members])
        ]
        observed, *others = stack(blocks)
        low, high = interval(np.array(others))
        cases = int(((event[members] == 1) & (time[members] <= horizon)).sum())
        means = float(risk[members].mean()), float(without[members].mean())
        yield (name, len(members), cases, *means, float(observed), low, high)
