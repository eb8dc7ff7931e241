"""How far learnt effects agree with known ones: numbers with intervals and permutation tests.

Scores are the units: intervals resample them, permutations exchange them, all outcomes together, so that the
correlation between outcomes stays. For a correlation the effects within the model are permuted: those of
scores alone follow from them and the correlation of scores, as they would from noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int

from proband.core.seeds import generator
from proband.explain.alignment.effects import EVERYBODY
from proband.explain.tables import AGREEMENT

STRONGEST = 5
"""Scores of the largest learnt effects among which an outcome's own and related ones are looked for."""
SIGNIFICANT = 0.05
_REPLICATES = 1000
_AT_ONCE = 50
_LEAST_OUTCOMES = 5
"""Outcomes with own scores below which resampling them gives no interval."""
_Row = tuple[str, str, float | None, float | None, float | None, float | None, int]


@dataclass(frozen=True)
class Matrices:
    """Effects of everybody, scores by outcomes; NaN where there is none."""

    learnt: Float64[np.ndarray, "scores outcomes"]
    alone: Float64[np.ndarray, "scores outcomes"]
    cox: Float64[np.ndarray, "scores outcomes"]
    q: Float64[np.ndarray, "scores outcomes"]
    published: Float64[np.ndarray, "scores outcomes"]
    own: Bool[np.ndarray, "scores outcomes"]
    related: Bool[np.ndarray, "scores outcomes"]
    outcomes: tuple[str, ...]
    scores: tuple[str, ...]

    @classmethod
    def of(cls, effects: pl.DataFrame) -> Matrices:
        """Those of a frame of :data:`~proband.explain.tables.EFFECTS`."""
        table = effects.filter(ancestry=EVERYBODY)
        outcomes = tuple(table["outcome"].unique(maintain_order=True))
        scores = tuple(table["score"].unique(maintain_order=True))
        shape = len(outcomes), len(scores)

        def matrix(column: str) -> np.ndarray:
            return table[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape).T

        return cls(
            learnt=matrix("log_hazard_ratio"),
            alone=matrix("log_hazard_ratio_alone"),
            cox=matrix("cox"),
            q=matrix("cox_q"),
            published=matrix("published"),
            own=matrix("is_own") == 1,
            related=matrix("is_related") == 1,
            outcomes=outcomes,
            scores=scores,
        )


def agreement_frame(
    effects: pl.DataFrame,
    correlation: Float64[np.ndarray, "scores scores"],
    permutations: int,
    seed: int,
) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.AGREEMENT`.

    Args:
        effects: A frame of :data:`~proband.explain.tables.EFFECTS`.
        correlation: Of scores, in the order of ``effects``.
        permutations: Permutations of scores.
        seed: Seed of permutations and resamples.
    """
    found = Matrices.of(effects)
    order = np.tile(np.arange(len(found.scores)), (permutations, 1))
    shuffles = generator(seed, "permuted scores").permuted(order, axis=1)
    rows: list[_Row] = []
    compared = {"cox": found.cox}
    if np.isfinite(found.published).any():
        compared["published"] = found.published
    by_chance = _by_chance(found, compared, correlation, shuffles)
    for name, effects_known in compared.items():
        rows += _correlations(found, f"correlation_with_{name}", effects_known, by_chance[name], seed)
    rows += _precision(found, shuffles)
    rows += [_signs(found)]
    for name, known in (("ratio_of_own_to_cox", found.cox), ("ratio_of_own_to_published", found.published)):
        rows += _ratio(found, name, known, seed)
    return pl.DataFrame(rows, schema=dict(AGREEMENT.columns), orient="row")


def _by_chance(
    found: Matrices,
    compared: Mapping[str, Float64[np.ndarray, "scores outcomes"]],
    correlation: Float64[np.ndarray, "scores scores"],
    shuffles: Int[np.ndarray, "draws scores"],
) -> dict[str, Float64[np.ndarray, "draws outcomes_and_all"]]:
    """Correlations of effects permuted within the model, with all known ones: of each outcome, last of all
    pairs."""
    parts = [*(slice(k, k + 1) for k in range(len(found.outcomes))), slice(None)]
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in compared}
    for begin in range(0, len(shuffles), _AT_ONCE):
        alone = correlation @ found.learnt[shuffles[begin : begin + _AT_ONCE]]
        for name, known in compared.items():
            both = np.broadcast_arrays(alone, known)
            drawn[name].append(
                np.stack([_of_pairs(*(one[:, :, at] for one in both)) for at in parts], axis=1)
            )
    return {name: np.concatenate(draws) for name, draws in drawn.items()}


def _correlations(
    found: Matrices,
    name: str,
    known: Float64[np.ndarray, "scores outcomes"],
    by_chance: Float64[np.ndarray, "draws outcomes_and_all"],
    seed: int,
) -> list[_Row]:
    """Over all pairs, with what 95% of permutations give, and over the scores of each outcome."""
    draws = _resamples(len(known), seed)
    itself = np.arange(len(known))[None]
    rows: list[_Row] = []
    everything = [(EVERYBODY, -1, slice(None))]
    for outcome, k, at in everything + [(one, k, slice(k, k + 1)) for k, one in enumerate(found.outcomes)]:
        learnt, other = found.alone[:, at], known[:, at]
        value = float(correlations(learnt, other, itself, itself)[0])
        number = int(np.isfinite(other).sum())
        if np.isnan(value):
            rows.append((outcome, name, None, None, None, None, number))
            continue
        low, high = _interval(correlations(learnt, other, draws, draws))
        chance = by_chance[:, k]
        p = (1 + (chance >= value).sum()) / (1 + len(chance))
        rows.append((outcome, name, value, low, high, float(p), number))
        if outcome == EVERYBODY:
            rows.append(
                (outcome, f"{name}_by_chance", float(chance.mean()), *_interval(chance), None, number)
            )
    return rows


def correlations(
    first: Float64[np.ndarray, "scores outcomes"],
    second: Float64[np.ndarray, "scores outcomes"],
    index: Int[np.ndarray, "_ scores"],
    other_index: Int[np.ndarray, "_ scores"],
) -> Float64[np.ndarray, " draws"]:
    """Correlations over pairs that both have, for each order or resample of scores.

    Args:
        first, second: Effects; NaN where there is none.
        index: Scores of ``first``, a row per draw.
        other_index: Those of ``second``; one row for the same in all.

    Returns:
        One per draw; NaN for fewer than 3 pairs, or without variation.
    """
    found = []
    for begin in range(0, len(index), _AT_ONCE):
        own = slice(begin, begin + _AT_ONCE) if len(other_index) > 1 else slice(None)
        a, b = np.broadcast_arrays(first[index[begin : begin + _AT_ONCE]], second[other_index[own]])
        found.append(_of_pairs(a, b))
    return np.concatenate(found)


def _of_pairs(
    first: Float64[np.ndarray, "draws scores outcomes"], second: Float64[np.ndarray, "draws scores outcomes"]
) -> Float64[np.ndarray, " draws"]:
    """The correlation of each draw, over pairs that both have; NaN as of :func:`correlations`."""
    known = np.isfinite(first) & np.isfinite(second)
    number = known.sum(axis=(1, 2))
    centred = [_centred(np.where(known, values, 0.0), known, number) for values in (first, second)]
    top = (centred[0] * centred[1]).sum(axis=(1, 2))
    bottom = np.sqrt((centred[0] ** 2).sum(axis=(1, 2)) * (centred[1] ** 2).sum(axis=(1, 2)))
    usable = (number >= 3) & (bottom > 0)
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=usable)


def _centred(values: np.ndarray, known: np.ndarray, number: np.ndarray) -> np.ndarray:
    mean = values.sum(axis=(1, 2)) / np.maximum(number, 1)
    return np.where(known, values - mean[:, None, None], 0.0)


def _resamples(number: int, seed: int) -> Int[np.ndarray, "replicates scores"]:
    return generator(seed, "resampled scores").integers(number, size=(_REPLICATES, number))


def _interval(values: Float64[np.ndarray, " replicates"]) -> tuple[float | None, float | None]:
    """The middle 95% of replicates; None where half of them have no value."""
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2:
        return None, None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _precision(found: Matrices, shuffles: np.ndarray) -> list[_Row]:
    """Share of own and related scores among the strongest, of outcomes that have some."""
    wanted = found.own | found.related
    has_own = found.own.any(axis=0)
    hits = strongest(found.learnt, STRONGEST)
    value = (hits & wanted).sum(axis=0) / STRONGEST
    by_chance = np.array([(hits & wanted[shuffle]).sum(axis=0) / STRONGEST for shuffle in shuffles])
    p = (1 + (by_chance >= value).sum(axis=0)) / (1 + len(shuffles))
    name = f"precision_at_{STRONGEST}"
    rows: list[_Row] = []
    if has_own.any():
        mean, chance = value[has_own].mean(), by_chance[:, has_own].mean(axis=1)
        of_all = (1 + (chance >= mean).sum()) / (1 + len(shuffles))
        number = int(wanted[:, has_own].sum())
        rows.append((EVERYBODY, name, float(mean), None, None, float(of_all), number))
        rows.append((EVERYBODY, f"{name}_by_chance", float(chance.mean()), None, None, None, number))
    for at in np.flatnonzero(has_own):
        number = int(wanted[:, at].sum())
        rows.append((found.outcomes[at], name, float(value[at]), None, None, float(p[at]), number))
    return rows


def strongest(
    learnt: Float64[np.ndarray, "scores outcomes"], number: int
) -> Bool[np.ndarray, "scores outcomes"]:
    """Scores of the largest effects of each outcome; an effect of 0 is none."""
    size = np.abs(learnt)
    order = np.argsort(-size, axis=0, kind="stable")[:number]
    found = np.zeros(learnt.shape, dtype=bool)
    np.put_along_axis(found, order, True, axis=0)
    return found & (size > 0)


def _signs(found: Matrices) -> _Row:
    """Share of pairs that Cox models find whose learnt effect has the same sign."""
    known = found.q < SIGNIFICANT
    number = int(known.sum())
    same = np.sign(found.alone[known]) == np.sign(found.cox[known])
    return EVERYBODY, "share_of_same_sign", float(same.mean()) if number else None, None, None, None, number


def _ratio(found: Matrices, name: str, known: np.ndarray, seed: int) -> list[_Row]:
    """Slope through 0 of learnt on known effects of own scores; an interval resampling 5 outcomes or more."""
    usable = found.own & np.isfinite(known)
    number = int(usable.sum())
    if not number:
        return []
    top = np.where(usable, found.alone * known, 0.0).sum(axis=0)
    bottom = np.where(usable, known**2, 0.0).sum(axis=0)
    draws = _resamples(len(top), seed)
    total = bottom[draws].sum(axis=1)
    values = np.divide(top[draws].sum(axis=1), total, out=np.full(len(draws), np.nan), where=total > 0)
    few = int(usable.any(axis=0).sum()) < _LEAST_OUTCOMES
    low, high = (None, None) if few else _interval(values)
    return [(EVERYBODY, name, float(top.sum() / bottom.sum()), low, high, None, number)]
