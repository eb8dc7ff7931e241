"""Scenarios made: who is changed, and the changed records and genomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

from proband.core.errors import ConfigError
from proband.forecast.risk import Points
from proband.forecast.scenario.changes import GenomeChange, RecordChange
from proband.forecast.scenario.file import Scenarios
from proband.forecast.scenario.resolve import Resolved, Resolver
from proband.tokens.dataset import TokenStore
from proband.tokens.history.edited import EditedStore, Record
from proband.tokens.modalities.modality import GENOME, ModalityTable


@dataclass(frozen=True)
class Made:
    """A scenario made of some points.

    Attributes:
        index: Points that it changes; the others are as they were.
        rereads: Of those, whose record it changes (not the genome alone).
        store: A row for each of them, with what is known by its prediction time.
        tables: Their modalities.
        effective: Per change, the points that it changes after those before it.
    """

    index: Int[np.ndarray, " changed"]
    rereads: Bool[np.ndarray, " changed"]
    store: EditedStore
    tables: dict[str, ModalityTable]
    effective: tuple[int, ...]

    def points(self, points: Points, prevalent: Bool[np.ndarray, "changed outcomes"]) -> Points:
        """The changed points, as rows of ``store``."""
        old = points.take(self.index)
        rows = np.arange(len(self.index), dtype=np.int64)
        return Points(rows, old.start, old.frame, old.prevalent | prevalent)


def make(scenario: Resolved, store: TokenStore, tables: Mapping[str, ModalityTable], points: Points) -> Made:
    """Make the changes of a scenario, one after another.

    Args:
        scenario: The changes.
        store: The records.
        tables: Modalities that the model reads and that are given.
        points: Prediction points.
    """
    concerned = scenario.concerns(points)
    records: list[Record] = [
        store.history(int(row), int(start)) for row, start in zip(points.rows, points.start, strict=True)
    ]
    genome = _genome(tables, points)
    reread = np.zeros(len(points.rows), dtype=bool)
    other_genome = np.zeros_like(reread)
    effective = []
    for change in scenario.changes:
        if isinstance(change, RecordChange):
            touched = _change_records(change, records, points, concerned)
            reread |= touched
        else:
            touched = _change_genomes(change, genome, concerned)
            other_genome |= touched
        effective.append(int(touched.sum()))
    index = np.flatnonzero(reread | other_genome)
    edited = EditedStore(store, points.rows[index], [records[at] for at in index])
    changed = {name: table.take(points.rows[index]) for name, table in tables.items()}
    if GENOME in tables and other_genome.any():
        changed[GENOME] = _as_table(genome[index], tables[GENOME])
    changed = {name: table for name, table in changed.items() if table.observed.any()}
    return Made(index, reread[index], edited, changed, tuple(effective))


def _change_records(
    change: RecordChange, records: list[Record], points: Points, concerned: Bool[np.ndarray, " points"]
) -> Bool[np.ndarray, " points"]:
    touched = np.zeros(len(records), dtype=bool)
    at = change.when.minutes(points)
    for point in np.flatnonzero(concerned):
        found = change.apply(records[point], int(at[point]), int(points.start[point]))
        touched[point] = found is not records[point]
        records[point] = found
    return touched


def _change_genomes(
    change: GenomeChange, genome: Float32[np.ndarray, "points scores"], concerned: Bool[np.ndarray, " points"]
) -> Bool[np.ndarray, " points"]:
    """Change scores in place; returns whose differ."""
    found = np.where(concerned[:, None], change.apply(genome), genome)
    same = (found == genome) | (np.isnan(found) & np.isnan(genome))
    genome[:] = found
    return ~same.all(axis=1)


def _genome(tables: Mapping[str, ModalityTable], points: Points) -> Float32[np.ndarray, "points scores"]:
    if GENOME not in tables:
        return np.zeros((len(points.rows), 0), dtype=np.float32)
    return tables[GENOME].values_by(points.rows, points.start)


def _as_table(values: Float32[np.ndarray, "n scores"], like: ModalityTable) -> ModalityTable:
    """Scores of n subjects as a modality; without any value a subject is not genotyped."""
    given = ~np.isnan(values).all(axis=1)
    offsets: Int64[np.ndarray, " bounds"] = np.concatenate([[0], np.cumsum(given)]).astype(np.int64)
    minutes = np.zeros(int(given.sum()), dtype=np.int64)
    return ModalityTable(np.ascontiguousarray(values[given]), minutes, offsets, like.names)


def resolved_scenarios(given: Scenarios, resolver: Resolver) -> tuple[Resolved, ...]:
    """The scenarios of a file, each change of which changes somebody.

    Raises:
        ConfigError: A name or date is unusable, or a change changes nobody.
        DataError: A subject is not in the tokens.
    """
    found = []
    for name, scenario in given.scenarios.items():
        one = resolver.scenario(name, scenario)
        effective = make(one, resolver.store, resolver.tables, resolver.points).effective
        for number, touched in enumerate(effective, 1):
            if not touched:
                raise ConfigError(
                    "a change that changes nobody",
                    where=f"scenario {name} of {resolver.path.name}, change {number}",
                    found=f"0 of {int(one.concerns(resolver.points).sum()):,} predictions changed",
                    expected="events by the prediction time that it applies to, or genotyped subjects",
                    remedy="check codes, dates, values and subjects, or leave it out",
                )
        found.append(one)
    return tuple(found)
