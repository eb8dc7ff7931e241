"""For whom the genome adds: gains of a model over another within subgroups, each outcome and on average."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.groups.members import in_order
from proband.evaluate.groups.subgroups import Dimension, Key
from proband.evaluate.metrics.compare import interval
from proband.evaluate.panel.gain import METRICS
from proband.evaluate.tables import SUBGROUP_GAINS


class Of(NamedTuple):
    """What a difference is of: a model less another, in a metric, by a horizon, within a dimension."""

    horizon_years: float
    dimension: str
    model: str
    reference: str
    metric: str


class Within(NamedTuple):
    """Differences within a subgroup of one outcome: one per replicate, the sample's first; and its cases."""

    values: Float[np.ndarray, " replicates"]
    num_cases: int


Differences = Mapping[Of, Mapping[str, Within]]


def gains_within(
    horizon: float, estimated: Sequence[Dimension], pairs: Sequence[tuple[str, str]]
) -> Differences:
    """Differences of one outcome, by subgroup.

    Args:
        horizon: Years.
        estimated: Metrics within its subgroups.
        pairs: A model and that of which it is the gain.
    """
    found: dict[Of, Mapping[str, Within]] = {}
    for one in estimated:
        for model, reference in pairs:
            for metric in METRICS:
                keys = Key(model, metric), Key(reference, metric)
                within = {
                    name: Within(values[keys[0]] - values[keys[1]], one.parts[name].counts[1])
                    for name, values in one.found.items()
                    if all(key in values for key in keys)
                }
                if within:
                    found[Of(horizon, one.name, model, reference, metric)] = within
    return found


class SubgroupGains:
    """Gains within subgroups, added outcome by outcome.

    Every outcome comes with the same resamples, so that means over outcomes are taken replicate by replicate.
    """

    def __init__(self) -> None:
        self._found: dict[Of, dict[str, Mapping[str, Within]]] = defaultdict(dict)

    def add(self, outcome: str, differences: Differences) -> None:
        """Take what :func:`gains_within` found for an outcome."""
        for of, within in differences.items():
            self._found[of][outcome] = within

    def frame(self) -> pl.DataFrame:
        """A frame of :data:`proband.evaluate.tables.SUBGROUP_GAINS`: each outcome, then the mean over those
        that have intervals in a subgroup."""
        rows = [
            of._asdict() | row
            for of, by_outcome in self._found.items()
            for row in (*_each(by_outcome), *_mean(by_outcome))
        ]
        schema = dict(SUBGROUP_GAINS.columns)
        ends = pl.col("difference", "low", "high", "gap", "gap_low", "gap_high")
        return pl.DataFrame(rows, schema=schema).with_columns(ends.fill_nan(None))


def _each(by_outcome: Mapping[str, Mapping[str, Within]]) -> Iterator[dict[str, object]]:
    """Rows of single outcomes, beside the subgroup with most cases."""
    for outcome, within in by_outcome.items():
        largest = max(within, key=lambda name: within[name].num_cases)
        for name, one in within.items():
            row = _row({outcome: one.values}, {outcome: within[largest].values}, name, largest)
            yield {"outcome": outcome} | row


def _mean(by_outcome: Mapping[str, Mapping[str, Within]]) -> Iterator[dict[str, object]]:
    """Rows of means over outcomes, beside the subgroup with most cases in all of them."""
    names = in_order({name for within in by_outcome.values() for name in within})
    cases = {name: sum(one[name].num_cases for one in by_outcome.values() if name in one) for name in names}
    firm = {name: _firm(by_outcome, name) for name in names}
    names = [name for name in names if firm[name]]
    if not names:
        return
    largest = max(names, key=lambda name: cases[name])
    for name in names:
        yield {"outcome": None} | _row(firm[name], firm[largest], name, largest)


def _firm(by_outcome: Mapping[str, Mapping[str, Within]], name: str) -> dict[str, np.ndarray]:
    """Differences within a subgroup, of the outcomes with cases enough for an interval there."""
    values = {outcome: within[name].values for outcome, within in by_outcome.items() if name in within}
    return {outcome: one for outcome, one in values.items() if np.isfinite(_ends(one)).all()}


def _row(
    mine: Mapping[str, np.ndarray], beside: Mapping[str, np.ndarray], name: str, largest: str
) -> dict[str, object]:
    """Mean of the outcomes of a subgroup, and its distance from the mean of another over common ones."""
    mean = np.mean(list(mine.values()), axis=0)
    low, high = _ends(mean)
    row = {"subgroup": name, "subgroup_reference": largest, "difference": float(mean[0]), "low": low}
    common = [outcome for outcome in mine if outcome in beside] if name != largest else []
    row |= {"high": high, "num_outcomes": len(mine), "num_outcomes_of_gap": len(common)}
    row |= {"gap": None, "gap_low": None, "gap_high": None}
    if not common:
        return row
    fewest = min(min(len(mine[outcome]), len(beside[outcome])) for outcome in common)
    gap = np.mean([mine[outcome][:fewest] - beside[outcome][:fewest] for outcome in common], axis=0)
    ends = _ends(gap)
    return row | {"gap": float(gap[0]), "gap_low": ends[0], "gap_high": ends[1]}


def _ends(values: np.ndarray) -> tuple[float, float]:
    return interval(values[1:])
