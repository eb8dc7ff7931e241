"""The integrated Brier score within subgroups: over the horizons of an outcome, on the same resamples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.groups.subgroups import NOT_ESTIMABLE, Dimension, Key
from proband.evaluate.metrics.compare import interval
from proband.evaluate.panel.multiplicity import INTEGRATED_BRIER, mean_over_time
from proband.evaluate.tables import SUBGROUPS

Scores = Mapping[float, Float[np.ndarray, " replicates"]]
"""Horizon -> Brier score per replicate, the sample's first."""


class Part(NamedTuple):
    """A subgroup by one horizon: whom it has, why there is no interval, and the Brier score of each model."""

    num_subjects: int
    num_cases: int
    few: str
    brier: Mapping[str, Float[np.ndarray, " replicates"]]


class Compared(NamedTuple):
    """The subgroups of a dimension by one horizon; ``reference`` is the one with most cases."""

    horizon_years: float
    dimension: str
    reference: str
    parts: Mapping[str, Part]


def brier_within(
    horizon: float, estimated: Sequence[Dimension], models: Sequence[str]
) -> tuple[Compared, ...]:
    """Brier scores of one outcome, by subgroup.

    Args:
        horizon: Years.
        estimated: Metrics within its subgroups.
        models: Those judged.
    """
    return tuple(
        Compared(horizon, one.name, one.reference, {name: _part(one, name, models) for name in one.parts})
        for one in estimated
    )


def _part(of: Dimension, name: str, models: Sequence[str]) -> Part:
    people, found = of.parts[name], of.found.get(name, {})
    brier = {model: found[key] for model in models if (key := Key(model, "brier")) in found}
    return Part(people.counts[0], people.counts[1], people.too_few_for_intervals(), brier)


class SubgroupBrier:
    """Brier scores within subgroups, added horizon by horizon."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[Compared]] = defaultdict(list)

    def add(self, outcome: str, compared: Sequence[Compared]) -> None:
        """Take what :func:`brier_within` found for an outcome and horizon."""
        for one in compared:
            self._found[outcome, one.dimension].append(one)

    def frame(self) -> pl.DataFrame:
        """A frame of :data:`proband.evaluate.tables.SUBGROUPS`, at the longest horizon of each dimension.

        Of dimensions that are compared by two horizons at least. A subgroup's score is over the horizons by
        which it has one; its gap needs the reference to have one by each of these.
        """
        rows = [
            {"outcome": outcome} | row
            for (outcome, _), compared in self._found.items()
            if len(compared) > 1
            for row in _rows(sorted(compared, key=lambda one: one.horizon_years))
        ]
        frame = pl.DataFrame(rows, schema=dict(SUBGROUPS.columns), orient="row")
        ends = pl.col("value", "low", "high", "gap", "gap_low", "gap_high")
        return frame.with_columns(ends.fill_nan(None))


def _rows(compared: Sequence[Compared]) -> Iterator[dict[str, object]]:
    """Rows of one outcome and dimension, from the shortest horizon to the longest."""
    last = compared[-1]
    for name, part in last.parts.items():
        place = {
            "horizon_years": last.horizon_years, "dimension": last.dimension, "subgroup": name,
            "reference": last.reference, "metric": INTEGRATED_BRIER,
            "num_subjects": part.num_subjects, "num_cases": part.num_cases,
        }  # fmt: skip
        few = _few(compared, name)
        for model in last.parts[last.reference].brier:
            mine = _by_horizon(compared, name, model)
            beside = {} if name == last.reference else _by_horizon(compared, last.reference, model)
            yield place | {"model": model} | _estimate(last.horizon_years, mine, beside, few)


def _by_horizon(compared: Sequence[Compared], name: str, model: str) -> Scores:
    parts = {one.horizon_years: one.parts[name].brier for one in compared if name in one.parts}
    return {horizon: brier[model] for horizon, brier in parts.items() if model in brier}


def _few(compared: Sequence[Compared], name: str) -> str:
    """Why a subgroup has no interval; empty where it has one."""
    notes = (one.parts[name].few for one in compared if name in one.parts and one.parts[name].brier)
    return next(filter(None, notes), "")


def _estimate(longest: float, mine: Scores, beside: Scores, few: str) -> dict[str, object]:
    """Value, gap and note of one subgroup and model."""
    if len(mine) < 2 or longest not in mine:
        return {"note": NOT_ESTIMABLE}
    own = mean_over_time(mine)
    low, high = interval(own[1:])
    over = f"horizons {', '.join(f'{horizon:g}' for horizon in mine)} years"
    row: dict[str, object] = {"value": float(own[0]), "low": low, "high": high}
    row["note"] = "; ".join(filter(None, (over, few)))
    if not set(mine) <= set(beside):
        return row
    other = mean_over_time({horizon: beside[horizon] for horizon in mine})
    fewest = min(len(own), len(other))
    gap = own[:fewest] - other[:fewest]
    ends = interval(gap[1:])
    return row | {"gap": float(gap[0]), "gap_low": ends[0], "gap_high": ends[1]}
