"""Metrics within subgroups, and their distance from the largest subgroup, on the same resamples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.groups.members import in_order
from proband.evaluate.metrics.block import Block, Model
from proband.evaluate.metrics.compare import Resamples, interval, intervals, stack
from proband.evaluate.metrics.judged import Judged
from proband.evaluate.metrics.registry import METRICS, metrics_by_subgroup
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.utility import ACTING
from proband.evaluate.tables import SUBGROUPS

NOT_ESTIMABLE = "not estimable"
_ENDS = ("value", "low", "high", "gap", "gap_low", "gap_high")


class Key(NamedTuple):
    """What a row is of: a model, a metric, and the risk from which one acts, if the metric has one."""

    model: str
    metric: str
    threshold: float | None = None

    @property
    def once(self) -> bool:
        """Whether it is computed on the sample alone."""
        return self.threshold is None and METRICS[self.metric].once


_Values = Mapping[Key, np.ndarray]


class Dimension(NamedTuple):
    """What was estimated within the subgroups of one dimension.

    Attributes:
        name: Of the dimension.
        parts: The rows of every subgroup.
        found: One value per replicate, the sample's first, of the subgroups in which there are any: two at
            least. Where cases or controls are too few for intervals, the sample's alone.
        reference: The one of these with most cases.
    """

    name: str
    parts: Mapping[str, RiskSet]
    found: Mapping[str, _Values]
    reference: str


def subgroup_frame(
    risk_set: RiskSet,
    members: pl.DataFrame,
    resamples: Resamples,
    thresholds: Float[np.ndarray, " thresholds"] | None = None,
) -> pl.DataFrame:
    """Metrics of every model within every subgroup.

    A dimension needs two subgroups in which metrics can be estimated; its reference is the one with most
    cases. Where cases or controls are too few for intervals, values stand without.

    Args:
        risk_set: All rows.
        members: One row for each of its rows and one text column per dimension: the subgroup, null where
            it is not known.
        resamples: Drawn from the risk set's subjects or families, and maybe others beside.
        thresholds: Risks at which net benefit, sensitivity and the like are given, the same in all
            subgroups; None for none.

    Returns:
        A frame of :data:`proband.evaluate.tables.SUBGROUPS`.
    """
    return frame_of(risk_set, dimensions(risk_set, members, resamples, thresholds))


def dimensions(
    risk_set: RiskSet,
    members: pl.DataFrame,
    resamples: Resamples,
    thresholds: Float[np.ndarray, " thresholds"] | None = None,
) -> list[Dimension]:
    """Estimates within every subgroup, of dimensions with two in which there are any; arguments as of
    :func:`subgroup_frame`."""
    at = np.zeros(0) if thresholds is None else thresholds
    found = (_dimension(risk_set, members[name], resamples, at) for name in members.columns)
    return [one for one in found if one is not None]


def frame_of(risk_set: RiskSet, estimated: Sequence[Dimension]) -> pl.DataFrame:
    """A frame of :data:`proband.evaluate.tables.SUBGROUPS`."""
    return pl.concat([SUBGROUPS.empty(), *(_frame(risk_set, one) for one in estimated)])


def _dimension(
    risk_set: RiskSet, member: pl.Series, resamples: Resamples, thresholds: np.ndarray
) -> Dimension | None:
    names = in_order(member.drop_nulls().unique())
    parts = {name: risk_set.part((member == name).fill_null(False).to_numpy()) for name in names}
    usable = {name: part for name, part in parts.items() if not part.obstacle()}
    if len(usable) < 2:
        return None
    reference = max(usable, key=lambda name: usable[name].counts[1])
    found = {name: _estimates(part, resamples, thresholds) for name, part in usable.items()}
    return Dimension(member.name, parts, found, reference)


def _frame(risk_set: RiskSet, of: Dimension) -> pl.DataFrame:
    keys = list(of.found[of.reference])
    columns: dict[str, list[Any]] = {name: [] for name in SUBGROUPS.columns}
    for name, part in of.parts.items():
        place = {
            "outcome": risk_set.outcome, "horizon_years": risk_set.horizon_years, "dimension": of.name,
            "subgroup": name, "reference": of.reference,
            "num_subjects": part.counts[0], "num_cases": part.counts[1],
        }  # fmt: skip
        beside = None if name == of.reference else of.found[of.reference]
        known = of.found.get(name)
        own = _without(keys, part) if known is None else _values_and_notes(part, keys, known, beside)
        own |= {field: [getattr(key, field) for key in keys] for field in Key._fields}
        for column, so_far in columns.items():
            so_far.extend([place[column]] * len(keys) if column in place else own[column])
    return pl.DataFrame(columns, schema=dict(SUBGROUPS.columns)).with_columns(pl.col(_ENDS).fill_nan(None))


def _estimates(part: RiskSet, resamples: Resamples, thresholds: np.ndarray) -> dict[Key, np.ndarray]:
    """One value per replicate, the sample's first, of everything that there is within a subgroup."""
    models = [Model(part, name) for name in part.risks]
    blocks: dict[Key, list[np.ndarray]] = defaultdict(list)
    drawn = resamples.weights(part.clusters, sample_alone=bool(part.too_few_for_intervals()))
    for number, weights in enumerate(drawn):
        block = Block.of(part, weights)
        for model in models:
            judged = Judged(block, model)
            for name, metric in metrics_by_subgroup(part, model.name).items():
                if number == 0 or not metric.once:
                    blocks[Key(model.name, name)].append(metric.compute(judged))
            acting = judged.acting(thresholds)
            for name in ACTING:
                for threshold, values in zip(thresholds.tolist(), acting[name].T, strict=True):
                    blocks[Key(model.name, name, threshold)].append(values)
    return {key: stack(values) for key, values in blocks.items()}


def _values_and_notes(
    part: RiskSet, keys: list[Key], found: _Values, reference: _Values | None
) -> dict[str, list[Any]]:
    """Columns: values of a subgroup, their distance from those of the reference, if it is another, notes."""
    values = _matrix(keys, found)
    columns = dict(zip(_ENDS[:3], (values[:, 0], *intervals(values[:, 1:])), strict=True))
    if values.shape[1] > 1:
        for row, key in enumerate(keys):
            if key.once and len(found[key]) > 1:  # with a reference distribution of its own
                columns["low"][row], columns["high"][row] = interval(found[key][1:])
    gap = np.full((len(keys), 1), np.nan)
    if reference is not None:
        other = _matrix(keys, reference)
        fewest = min(values.shape[1], other.shape[1])
        gap = values[:, :fewest] - other[:, :fewest]
    columns |= dict(zip(_ENDS[3:], (gap[:, 0], *intervals(gap[:, 1:])), strict=True))
    is_known = np.isfinite(values[:, 0])
    notes = [_note(part, key) if known else NOT_ESTIMABLE for key, known in zip(keys, is_known, strict=True)]
    return {name: np.where(is_known, each, np.nan).tolist() for name, each in columns.items()} | {
        "note": notes
    }


def _matrix(keys: list[Key], found: _Values) -> Float[np.ndarray, "keys replicates"]:
    """One row per key; NaN in the replicates of what is computed on the sample alone."""
    size = next(len(found[key]) for key in keys if not key.once)
    values = np.full((len(keys), size), np.nan)
    for row, key in enumerate(keys):
        values[row, : 1 if key.once else size] = found[key][: 1 if key.once else size]
    return values


def _note(part: RiskSet, key: Key) -> str:
    caution = METRICS[key.metric].caution(part.counts[1]) if key.threshold is None else ""
    few = "" if key.once else part.too_few_for_intervals()
    return "; ".join(filter(None, (few, caution)))


def _without(keys: list[Key], part: RiskSet) -> dict[str, list[Any]]:
    """The same of a subgroup in which nothing can be estimated."""
    nothing: list[Any] = [float("nan")] * len(keys)
    return dict.fromkeys(_ENDS, nothing) | {"note": [part.obstacle()] * len(keys)}
