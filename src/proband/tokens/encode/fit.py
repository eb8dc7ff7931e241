"""Fitting a vocabulary on the train split: one pass over the shards, two where a code has several units.

What a shard contributes goes with its codes and different values, not with its rows or subjects: whether
enough subjects have something is known once ``min_subjects`` of them are. So are the sums over shards, which
are added up a few shards at a time where the work is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import polars as pl

from proband.core.errors import DataError
from proband.core.running.engine import map_shards
from proband.core.running.progress import say
from proband.core.units import MINUTES_PER_DAY
from proband.ehr.cohort import follow_up
from proband.ehr.meds.dataset import Shard, read_shard
from proband.ehr.units.counts import total_units, units_of
from proband.tokens.config import TokensConfig
from proband.tokens.encode.tokenize import dated_events, is_static, whole_days
from proband.tokens.measurements.units import Groups, group_units, place_values, value_code, value_codes
from proband.tokens.measurements.values import Counted, count_values, fit_edges, total_values
from proband.tokens.rollup import common_unknowns, roll_up
from proband.tokens.vocabulary import UNKNOWN, Vocabulary, assemble_tokens, is_unknown

_MOST_SUMS = 32
"""Sums that come back to be added up: more would take memory, fewer would leave cores idle."""


class Seen(NamedTuple):
    """What train shards contribute to the vocabulary.

    Attributes:
        pairs: code, subject_id: of each code as many subjects as it needs, or all.
        values: Values of codes; see there.
        statics: As ``pairs``, of static codes.
        daily: Whether all ages are whole days.
        units: As :func:`~proband.ehr.units.counts.units_of` gives.
    """

    pairs: pl.DataFrame
    values: Counted
    statics: pl.DataFrame
    daily: bool
    units: pl.DataFrame


def fit_vocabulary(
    shards: Sequence[Shard],
    parents: Mapping[str, Sequence[str]],
    config: TokensConfig,
    workers: int | None = None,
    spark: str | None = None,
) -> Vocabulary:
    """Fit units, bins, roll-up and token order on the train split; counts are still to be filled in."""
    train = [shard for shard in shards if shard.split == "train"]
    if not train:
        remedy = "split the subjects (proband ehr does), or give a frozen --vocabulary"
        raise DataError("no train split to fit the vocabulary on", where="the MEDS data", remedy=remedy)
    groups = [train[start::_MOST_SUMS] for start in range(min(_MOST_SUMS, len(train)))]
    least = config.min_subjects

    def look(description: str, units: Groups | None = None) -> Seen:
        see = partial(_see, static_prefixes=config.static_prefixes, least=least, units=units)
        return _total(map_shards(see, groups, description=description, workers=workers, spark=spark), least)

    seen = look("Fitting the vocabulary")
    units = group_units(seen.units, least)
    if seen.units["code"].is_duplicated().any():  # some code has several units: values are to be converted
        seen = look("Converting units", units)
    edges = fit_edges(seen.values, config.num_bins, config.min_values, least)
    unknown = common_unknowns(seen.pairs, least)
    targets = roll_up(seen.pairs, parents, least).items()
    rolled = {code: UNKNOWN if is_unknown(to) and to not in unknown else to for code, to in targets}
    recorded = value_codes(units)
    edges = {name: inner for name, inner in edges.items() if recorded.get(name, (name,))[0] not in rolled}
    common = [code for code in seen.pairs["code"].unique().to_list() if code not in rolled]
    tokens = assemble_tokens([*common, *rolled.values()], edges, unknown)
    return Vocabulary(
        tokens=tokens,
        edges=edges,
        rolled=rolled,
        once=(False,) * len(tokens),
        statics=_common_statics(seen.statics, least),
        resolution_minutes=MINUTES_PER_DAY if seen.daily else 1,
        min_subjects=least,
        units={code: groups for code, groups in units.items() if _has_bins(code, groups, edges)},
    )


def _has_bins(code: str, groups: Sequence[Sequence[str]], edges: Mapping[str, Sequence[float]]) -> bool:
    """Whether any unit of a code has value bins."""
    return any(value_code(code, groups, number) in edges for number in range(len(groups)))


def _common_statics(pairs: pl.DataFrame, min_subjects: int) -> tuple[str, ...]:
    """The static codes of enough subjects, in alphabetical order."""
    counts = pairs.group_by("code").len()
    common = counts.filter(pl.col("len") >= min_subjects)["code"].sort().to_list()
    if counts.height > len(common):
        few = f"fewer than {min_subjects} train subjects"
        say(f"tokens: {counts.height - len(common)} static codes of {few} are left out (--min-subjects)")
    return tuple(common)


def _see(shards: Sequence[Shard], static_prefixes: Sequence[str], least: int, units: Groups | None) -> Seen:
    """What some shards contribute, added up one by one."""
    seen = _look_at_shard(shards[0], static_prefixes, least, units)
    for shard in shards[1:]:
        seen = _total([seen, _look_at_shard(shard, static_prefixes, least, units)], least)
    return seen


def _total(parts: Sequence[Seen], least: int) -> Seen:
    """Sums over parts of whole subjects."""
    return Seen(
        pairs=_some_subjects(pl.concat([part.pairs for part in parts]), least),
        values=total_values([part.values for part in parts], least),
        statics=_some_subjects(pl.concat([part.statics for part in parts]), least),
        daily=all(part.daily for part in parts),
        units=total_units([part.units for part in parts]),
    )


def _some_subjects(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Pairs of code and subject, of each code at most so many."""
    return rows.select("code", "subject_id").unique().group_by("code").head(most)


def _look_at_shard(
    shard: Shard, static_prefixes: Sequence[str], least: int, units: Groups | None = None
) -> Seen:
    events = read_shard(shard.path)
    dated = dated_events(events, follow_up(events))
    placed = dated.with_columns(value_code="code") if units is None else place_values(dated, units)
    return Seen(
        pairs=_some_subjects(dated, least),
        values=count_values(placed.select("subject_id", "numeric_value", code="value_code"), least),
        statics=_some_subjects(events.filter(is_static(static_prefixes)), least),
        daily=whole_days(dated["minutes"]),
        units=units_of(dated),
    )
