"""Risks with another genome: none, those of train subjects, a score at another percentile.

Scores enter a log hazard by a linear term times a factor by age, in the hazards of the outcome and of death
alike, and nowhere else: another genome is a shift of the log ratios before calibration.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float64, Int

from proband.core.seeds import generator
from proband.explain.attribution.decomposition import keys_of, named
from proband.explain.attribution.standard import Standard
from proband.explain.counterfactual.shifted import Shifted
from proband.explain.inputs import Asked
from proband.explain.tables import GENOMES, PERCENTILES
from proband.model.onset.inputs import Query
from proband.model.onset.terms import is_given
from proband.tokens.modalities.modality import GENOME

PERCENTS = (1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0)
HELD, CONDITIONAL = "held", "conditional_mean"
_SCORES = 3
"""Scores of each outcome whose percentiles are changed: those of the largest learnt effects."""
_LOW, _HIGH = 5, 95


def donor_genomes(standard: Standard, number: int, seed: int) -> Float64[np.ndarray, "donors scores"]:
    """Standardised scores of train subjects drawn at random."""
    order = generator(seed, "donors of genomes").permutation(len(standard.train))
    return standard.train[order[:number]]


def genomes_frame(
    asked: Asked, index: Int[np.ndarray, " n"], query: Query, donors: Float64[np.ndarray, "donors scores"]
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.GENOMES`, of genotyped subjects.

    Args:
        asked: The question.
        index: Points.
        query: What is known of them.
        donors: Standardised scores put in place of the subjects' own.
    """
    shifted = Shifted.of(asked, query)
    beta, factor = _beta(asked, shifted), _factor(asked, shifted, query)
    own = _standardised(asked, query) @ beta
    risk, without = shifted.risk(), shifted.risk(-_part(asked, shifted, query))
    others = np.stack([shifted.risk(factor * (donor @ beta - own)) for donor in donors])
    given = is_given(query.modalities[GENOME]).numpy()
    asks = np.broadcast_to((given[:, None] & ~asked.prevalent[index])[:, :, None], risk.shape)
    point, outcome, horizon = np.nonzero(asks)
    below = (others < risk).mean(axis=0) + (others == risk).mean(axis=0) / 2
    columns = {
        "risk": risk,
        "risk_without": without,
        "difference": risk - without,
        "risk_mean": others.mean(axis=0),
        "risk_low": np.percentile(others, _LOW, axis=0),
        "risk_high": np.percentile(others, _HIGH, axis=0),
        "percentile": 100 * below,
    }
    frame = keys_of(asked, index[point], outcome).with_columns(
        pl.Series("horizon_years", np.array(asked.horizons_years)[horizon], pl.Float64),
        *(pl.Series(name, value[asks]) for name, value in columns.items()),
    )
    return frame.select(*GENOMES.columns)


def percentiles_frame(
    asked: Asked, standard: Standard, index: Int[np.ndarray, " n"], query: Query
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.PERCENTILES`, at the last horizon."""
    shifted, levels = Shifted.of(asked, query), standard.at(np.array(PERCENTS))
    beta, z, correlation = _beta(asked, shifted), _standardised(asked, query), standard.correlations()
    factor = _factor(asked, shifted, query)
    strongest = np.argsort(-np.abs(beta[:, list(asked.tasks)]), axis=0, kind="stable")[:_SCORES]
    given = is_given(query.modalities[GENOME]).numpy()
    parts = [PERCENTILES.empty()]
    for score in np.unique(strongest):
        asks = given[:, None] & ~asked.prevalent[index] & (strongest == score).any(axis=0)
        point, outcome = np.nonzero(asks)
        for percent, level in zip(PERCENTS, levels[:, score], strict=True):
            held = np.outer(level - z[:, score], beta[score])
            conditional = level * correlation[score] @ beta - z @ beta
            for others, shift in ((HELD, held), (CONDITIONAL, conditional)):
                frame = keys_of(asked, index[point], outcome).with_columns(
                    pl.lit(asked.horizons_years[-1]).alias("horizon_years"),
                    pl.lit(standard.names[score]).alias("score"),
                    pl.lit(percent).alias("percentile"),
                    pl.lit(others).alias("others"),
                    pl.Series("risk", shifted.risk(factor * shift)[..., -1][asks], pl.Float64),
                )
                parts.append(named(frame, "score", asked.names.scores).select(*PERCENTILES.columns))
    return pl.concat(parts)


def _beta(asked: Asked, shifted: Shifted) -> Float64[np.ndarray, "scores tasks"]:
    return asked.head.linear_of(GENOME).beta[:, : shifted.num_tasks].double().numpy()


def _part(asked: Asked, shifted: Shifted, query: Query) -> Float64[np.ndarray, "n tasks"]:
    part = asked.head.linear_of(GENOME)(query.modalities[GENOME], query.age)
    return part[:, : shifted.num_tasks].double().numpy()


def _factor(asked: Asked, shifted: Shifted, query: Query) -> Float64[np.ndarray, "n tasks"]:
    return asked.head.linear_of(GENOME).factor(query.age)[:, : shifted.num_tasks].double().numpy()


def _standardised(asked: Asked, query: Query) -> Float64[np.ndarray, "n scores"]:
    return asked.head.linear_of(GENOME).standardised(query.modalities[GENOME]).double().numpy()
