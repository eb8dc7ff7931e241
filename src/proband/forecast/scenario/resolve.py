"""From the names and dates of a scenario file to changes that can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64

from proband.core.errors import ConfigError, near_matches
from proband.core.running.progress import say
from proband.forecast.risk import Points
from proband.forecast.scenario.changes import (
    AddToken,
    GenomeChange,
    MapTokens,
    RecordChange,
    RemoveTokens,
    SetGenome,
    SetScore,
    When,
)
from proband.forecast.scenario.file import Add, Change, Genome, Remove, Scenario, Shift
from proband.tokens.dataset import TokenStore
from proband.tokens.history.subjects import rows_of_ids
from proband.tokens.measurements.units import value_codes
from proband.tokens.measurements.values import bin_values
from proband.tokens.modalities.modality import GENOME, ModalityTable
from proband.tokens.vocabulary import BIRTH_TOKEN


@dataclass(frozen=True)
class Resolved:
    """A scenario that can be made.

    Attributes:
        name: Its name.
        changes: In order.
        subjects: Whom it concerns; None for everybody.
    """

    name: str
    changes: tuple[RecordChange | GenomeChange, ...]
    subjects: tuple[int, ...] | None

    def concerns(self, points: Points) -> Bool[np.ndarray, " points"]:
        """Whether it concerns each point."""
        if self.subjects is None:
            return np.ones(len(points.rows), dtype=bool)
        return points.frame["subject_id"].is_in(list(self.subjects)).to_numpy()


@dataclass(frozen=True)
class Resolver:
    """What names and dates are looked up in.

    Attributes:
        path: The scenario file.
        store: The records.
        tables: Modalities that the model reads and that are given.
        points: Prediction points.
        reads_genome: Whether the model reads a genome.
    """

    path: Path
    store: TokenStore
    tables: Mapping[str, ModalityTable]
    points: Points
    reads_genome: bool
    names: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def scenario(self, name: str, given: Scenario) -> Resolved:
        """A scenario resolved.

        Raises:
            ConfigError: A code, score, unit or date is unusable.
            DataError: A subject is not in the tokens.
        """
        where = f"scenario {name} of {self.path.name}"
        if given.subjects is not None:
            self._check_subjects(given.subjects, where)
        changes = tuple(
            self._change(change, f"{where}, change {at}") for at, change in enumerate(given.changes, 1)
        )
        return Resolved(name, changes, given.subjects)

    def _check_subjects(self, subjects: tuple[int, ...], where: str) -> None:
        rows_of_ids(pl.Series(subjects, dtype=pl.Int64), self.store, where)
        without = set(subjects) - set(self.points.frame["subject_id"].to_list())
        if without:
            raise ConfigError(
                "subjects without a prediction",
                where=where,
                found=f"{len(without)} of {len(subjects)}, first {min(without)}",
                remedy="name subjects of the split (--split), or give --subjects",
            )

    def _change(self, change: Change, where: str) -> RecordChange | GenomeChange:
        if change.remove is not None:
            return RemoveTokens(self._when(change.remove, where), self._members(change.remove, where))
        if change.add is not None:
            return self._added(change.add, where)
        if change.shift is not None:
            return self._shifted(change.shift, where)
        assert change.genome is not None
        return self._genome(change.genome, where)

    def _when(self, given: Remove | Add | Shift, where: str) -> When:
        if given.date is None:
            return When(days_before=given.days_before)
        at = datetime.combine(given.date, time(), tzinfo=UTC)
        last = self.points.frame["prediction_time"].max()
        assert isinstance(last, datetime)
        if at.replace(tzinfo=None) > last:
            raise ConfigError(
                "a date after the prediction time",
                where=where,
                found=given.date,
                expected=f"at most {last.date()}, the last prediction time",
                remedy="an earlier date, or days_before",
            )
        return When(date=int(at.timestamp()) * 1_000_000)

    def _members(self, given: Remove, where: str) -> Bool[np.ndarray, " vocabulary"]:
        """Tokens of codes and prefixes."""
        recorded = np.array(self.store.vocabulary.recorded_codes())
        members = np.zeros(len(recorded), dtype=bool)
        for code in given.codes:
            self._check_code(code, where)
            members |= recorded == code
        for prefix in given.prefixes:
            found = np.char.startswith(recorded, prefix)
            if not found.any():
                remedy = near_matches(prefix, {code[: len(prefix)] for code in self._codes()})
                raise ConfigError("no code begins so", where=where, found=prefix, remedy=remedy)
            members |= found
        members[: BIRTH_TOKEN + 1] = False
        return members

    def _codes(self) -> list[str]:
        """Codes that can be named: not padding, birth and death."""
        return list(dict.fromkeys(self.store.vocabulary.recorded_codes()[BIRTH_TOKEN + 1 : -1]))

    def _check_code(self, code: str, where: str) -> None:
        known = self._codes()
        if code in known:
            return
        parent = self.store.vocabulary.rolled.get(code)
        remedy = f"it is read as {parent}: name that" if parent else near_matches(code, known)
        raise ConfigError(
            "unknown code",
            where=where,
            found=code,
            expected="a code of the vocabulary, other than birth and death",
            remedy=remedy or "name a code of vocabulary.json",
        )

    def _bins(self, code: str, unit: str | None, where: str) -> str:
        """Name of the bins of a code's values in a unit."""
        vocabulary = self.store.vocabulary
        named = {name: of for name, of in value_codes(vocabulary.units).items() if of[0] == code}
        units = {of[1]: name for name, of in named.items() if name in vocabulary.edges}
        if not units and code in vocabulary.edges:
            units = {"": code}
        if not units:
            raise ConfigError("values of this code have no bins", where=where, found=code, remedy="no value")
        if unit is None and len(units) == 1:
            return next(iter(units.values()))
        if unit not in units:
            expected = f"unit: one of {', '.join(units)}"
            raise ConfigError("which unit", where=where, found=unit or "none", expected=expected)
        return units[unit]

    def _added(self, given: Add, where: str) -> AddToken:
        self._check_code(given.code, where)
        vocabulary, when = self.store.vocabulary, self._when(given, where)
        if given.value is None:
            token = vocabulary.index.get(given.code)
            if token is None:
                raise ConfigError(
                    "an event of this code has a value", where=where, found=given.code, expected="value"
                )
        else:
            name = self._bins(given.code, given.unit, where)
            number = int(np.searchsorted(np.asarray(vocabulary.edges[name]), given.value, side="right"))
            token = vocabulary.bin_index[name, number + 1]
        alike = self.store.alike
        once = (
            np.flatnonzero(alike == alike[token]) if self.store.once[token] else np.zeros(0, dtype=np.int64)
        )
        return AddToken(when, token, once)

    def _shifted(self, given: Shift, where: str) -> MapTokens:
        self._check_code(given.code, where)
        name = self._bins(given.code, given.unit, where)
        vocabulary = self.store.vocabulary
        edges = np.asarray(vocabulary.edges[name])
        _say_beyond_bins(given, edges, where)
        middle = middles(vocabulary.edges[name])
        wanted = np.full(len(middle), given.to) if given.to is not None else middle + (given.by or 0.0)
        becomes = np.arange(len(vocabulary))
        for number, new in enumerate(np.searchsorted(edges, wanted, side="right"), 1):
            becomes[vocabulary.bin_index[name, number]] = vocabulary.bin_index[name, int(new) + 1]
        return MapTokens(self._when(given, where), becomes)

    def _genome(self, given: Genome, where: str) -> GenomeChange:
        if not self.reads_genome:
            remedy = "give a model trained with --genome"
            raise ConfigError("another genome, and the model reads none", where=where, remedy=remedy)
        if GENOME not in self.tables:
            raise ConfigError("another genome, and none is given", where=where, remedy="give --genome")
        table = self.tables[GENOME]
        if given.score is not None:
            assert given.percentile is not None
            return SetScore(*self._score(table, given.score, given.percentile, where))
        if given.subject is None:
            return SetGenome(np.full(len(table.names), np.nan, dtype=np.float32))
        row = rows_of_ids(pl.Series([given.subject], dtype=pl.Int64), self.store, where)
        if not table.observed[row[0]]:
            raise ConfigError(
                "a subject without a genome", where=where, found=given.subject, expected="a genotyped one"
            )
        return SetGenome(table.values_by(row, np.zeros(1, dtype=np.int64))[0])

    def _score(self, table: ModalityTable, score: str, percent: float, where: str) -> tuple[int, float]:
        """Column of a score, and its value at a percentile of the genotyped train subjects, or of all."""
        if score not in table.names:
            remedy = near_matches(score, table.names) or f"one of {', '.join(table.names[:5])}, ..."
            raise ConfigError("unknown score", where=where, found=score, remedy=remedy)
        column = table.names.index(score)
        train = (self.store.subjects["split"] == "train").to_numpy() & table.observed
        rows = np.flatnonzero(train if train.any() else table.observed)
        values = table.values[table.offsets[rows], column]
        if not np.isfinite(values).any():
            expected = "a score that some subject has"
            raise ConfigError("a score without values", where=where, found=score, expected=expected)
        return column, float(np.nanpercentile(values, percent))


def middles(edges: Sequence[float]) -> Float64[np.ndarray, " bins"]:
    """Middle of each value bin; an open bin counts as wide as the one beside it.

    Args:
        edges: Ascending inner edges; of a single one the two values nearest to it.

    >>> middles((1.0, 3.0, 4.0)).tolist()
    [0.0, 2.0, 3.5, 4.5]
    """
    found = bin_values(edges).astype(np.float64)
    if len(edges) > 1:
        found[0] = edges[0] - (edges[1] - edges[0]) / 2
        found[-1] = edges[-1] + (edges[-1] - edges[-2]) / 2
    return found


def _say_beyond_bins(given: Shift, edges: np.ndarray, where: str) -> None:
    """Say that a value lies beyond the outermost edge between bins: it counts as any other there."""
    if given.to is not None and not edges[0] <= given.to < edges[-1]:
        side, edge = ("above", edges[-1]) if given.to >= edges[-1] else ("below", edges[0])
        say(f"forecast: {where}: the model does not tell {given.to:g} from other values {side} {edge:g}")
