"""Metrics within subgroups, and their distance from the largest subgroup, on the same resamples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from proband.evaluate.metrics.compare import Resamples, interval, stack
from proband.evaluate.metrics.judged import Block, Judged, Model
from proband.evaluate.metrics.registry import METRICS
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.tables import SUBGROUPS

_Values = dict[tuple[str, str], np.ndarray]


def subgroup_frame(risk_set: RiskSet, members: pl.DataFrame, resamples: Resamples) -> pl.DataFrame:
    """Metrics of every model within every subgroup.

    A dimension needs two subgroups in which metrics can be estimated; its reference is the one with most
    cases. Where cases or controls are too few for intervals, values stand without.

    Args:
        risk_set: All rows.
        members: One row for each of its rows and one text column per dimension: the subgroup, null where
            it is not known.
        resamples: Drawn from the risk set's subjects or families, and maybe others beside.

    Returns:
        A frame of :data:`proband.evaluate.tables.SUBGROUPS`.
    """
    rows = [row for name in members.columns for row in _dimension(risk_set, members[name], resamples)]
    return pl.DataFrame(rows, schema=dict(SUBGROUPS.columns), orient="row")


def _dimension(risk_set: RiskSet, member: pl.Series, resamples: Resamples) -> Iterator[dict[str, Any]]:
    names = member.drop_nulls().unique().sort().to_list()
    parts = {name: risk_set.part((member == name).fill_null(False).to_numpy()) for name in names}
    usable = {name: part for name, part in parts.items() if not part.obstacle()}
    if len(usable) < 2:
        return
    reference = max(usable, key=lambda name: usable[name].counts[1])
    found = {name: _metrics(part, resamples) for name, part in usable.items()}
    for name, part in parts.items():
        place = {
            "outcome": risk_set.outcome, "horizon_years": risk_set.horizon_years, "dimension": member.name,
            "subgroup": name, "reference": reference,
            "num_subjects": part.counts[0], "num_cases": part.counts[1],
        }  # fmt: skip
        for model, metric in [(model, metric) for model in risk_set.risks for metric in by_subgroup()]:
            yield place | _row(model, metric, part, found.get(name), found[reference], name == reference)


def by_subgroup() -> list[str]:
    """Names of the metrics that are given for subgroups."""
    return [name for name, metric in METRICS.items() if metric.by_subgroup]


def _metrics(part: RiskSet, resamples: Resamples) -> _Values:
    models = [Model(part, name) for name in part.risks]
    blocks: dict[tuple[str, str], list[np.ndarray]] = {}
    for weights in resamples.weights(part.clusters, sample_alone=bool(part.too_few_for_intervals())):
        block = Block.of(part, weights)
        for model in models:
            judged = Judged(block, model)
            for name in by_subgroup():
                blocks.setdefault((model.name, name), []).append(METRICS[name].compute(judged))
    return {key: stack(values) for key, values in blocks.items()}


def _row(
    model: str, metric: str, part: RiskSet, found: _Values | None, reference: _Values, is_reference: bool
) -> dict[str, Any]:
    empty = dict.fromkeys(("value", "low", "high", "gap", "gap_low", "gap_high"))
    row: dict[str, Any] = {"model": model, "metric": metric, "note": part.obstacle()} | empty
    if found is None or not np.isfinite(found[model, metric][0]):
        return row | {"note": row["note"] or "not estimable"}
    values = found[model, metric]
    row |= {"note": part.too_few_for_intervals()} | _with_ends("value", values, ("low", "high"))
    if is_reference:
        return row
    fewest = min(len(values), len(reference[model, metric]))
    gap = values[:fewest] - reference[model, metric][:fewest]
    return row | _with_ends("gap", gap, ("gap_low", "gap_high"))


def _with_ends(name: str, values: np.ndarray, ends: tuple[str, str]) -> dict[str, Any]:
    found = (values[0], *interval(values[1:]))
    return {
        key: float(value) if np.isfinite(value) else None
        for key, value in zip((name, *ends), found, strict=True)
    }
