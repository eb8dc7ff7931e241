"""One shard of MEDS events to token rows.

A token per measurement row. Within one time stamp tokens ascend by index (birth first, codes
alphabetically, death last). Rows after the end of follow-up are left out and counted; rows before entry
stay, as history that is never scored. Entry and exit themselves never become tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.sex import SEX_PATTERN, female_of
from proband.core.units import MICROSECONDS_PER_MINUTE, MINUTES_PER_DAY
from proband.ehr.cohort import follow_up
from proband.ehr.meds.dataset import BIRTH, ENTRY, EXIT
from proband.tokens.measurements.units import count_units, place_values
from proband.tokens.measurements.values import bin_codes
from proband.tokens.rollup import parent_of
from proband.tokens.vocabulary import BIRTH_TOKEN, DEATH_CODE, UNKNOWN, Vocabulary, unknown_of


@dataclass(frozen=True)
class TokenRows:
    """The tokens of one shard.

    Attributes:
        rows: Columns subject_id, minutes (Int32), token (Int32), ordered as they will be stored.
        subjects: The columns of schema.SUBJECTS but the split, in the same order.
        statics: Columns subject_id, static (index), at most a few per subject.
        counts: What was left out or replaced, by reason.
        unknown_codes: Rows of each code that an unknown token stands for.
        num_known: Rows whose code or its parent the vocabulary knows, deaths apart.
    """

    rows: pl.DataFrame
    subjects: pl.DataFrame
    statics: pl.DataFrame
    counts: dict[str, int]
    unknown_codes: dict[str, int]
    num_known: int


def dated_events(events: pl.DataFrame, span: pl.DataFrame) -> pl.DataFrame:
    """Clinical rows within follow-up's end, with their age in ``minutes``.

    Rows of the day of a death within follow-up count as of the minute of death where they come later: of many
    deaths the date alone is recorded, as their midnight.

    Args:
        events: A MEDS shard.
        span: :func:`proband.ehr.cohort.follow_up` of it.

    Returns:
        subject_id, minutes, code, numeric_value, unit; only subjects in ``span``.
    """
    _refuse_ages_beyond_counting(events, span)
    time, exit_time = pl.col("time"), pl.col("exit_time")
    until = pl.min_horizontal(time, exit_time)
    age = (until - pl.col("birth_time")).dt.total_microseconds() // MICROSECONDS_PER_MINUTE
    of_last_day = (time.dt.date() == pl.col("death_time").dt.date()).fill_null(False)
    return (
        events.filter(time.is_not_null() & ~pl.col("code").is_in([BIRTH, ENTRY, EXIT]))
        .join(span.select("subject_id", "birth_time", "exit_time", "death_time"), on="subject_id")
        .filter((time >= pl.col("birth_time")) & ((time <= exit_time) | of_last_day))
        .select("subject_id", age.cast(pl.Int32).alias("minutes"), "code", "numeric_value", "unit")
    )


def _refuse_ages_beyond_counting(events: pl.DataFrame, span: pl.DataFrame) -> None:
    """Refuse a subject with a date so far from birth that minutes of age leave their 32 bits.

    Raises:
        DataError: Names the first such subject.
    """
    elapsed = pl.col("time").to_physical().cast(pl.Float64) - pl.col("birth_time").to_physical()
    beyond = elapsed.abs() / MICROSECONDS_PER_MINUTE >= np.iinfo(np.int32).max
    births = span.select("subject_id", "birth_time")
    wrong = events.select("subject_id", "time", "code").join(births, on="subject_id").filter(beyond)
    if wrong.height:
        first = wrong.select("subject_id", "code").row(0, named=True)
        raise DataError(
            "a date thousands of years from birth",
            where=f"the events of subject {first['subject_id']}",
            found=f"{wrong.height} rows, first {first['code']} at {wrong['time'].cast(pl.String)[0]}",
            expected="dates of one life",
            remedy="run proband ehr on the folder, which leaves such rows out",
        )


def is_static(prefixes: Iterable[str]) -> pl.Expr:
    """Rows without a time whose code starts with one of ``prefixes``, in any case, or says a sex.

    A prefix that ends in slashes is met by one slash or two.
    """
    spelled = [re.escape(prefix.rstrip("/")) + ("/" if prefix.endswith("/") else "") for prefix in prefixes]
    named = pl.col("code").str.contains(f"(?i)^(?:{'|'.join([*spelled, SEX_PATTERN])})")
    return pl.col("time").is_null() & named


def whole_days(minutes: pl.Series) -> bool:
    """Whether every age is a whole number of days."""
    return bool((minutes % MINUTES_PER_DAY == 0).all())


def resolve_codes(
    codes: Iterable[str], vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Token of every code, by roll-up where the code itself is not in the vocabulary.

    The frozen roll-up of train comes first, then the hierarchy of the data at hand, then the unknown
    token of the kind, then the general unknown token.
    """
    return {code: _resolve(code, vocabulary, parents) for code in codes}


def _resolve(code: str, vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]]) -> int:
    seen: set[str] = set()
    candidate: str | None = code
    while candidate is not None and candidate not in seen:
        seen.add(candidate)
        known = vocabulary.index.get(vocabulary.rolled.get(candidate, candidate))
        if known is not None:
            return known
        candidate = parent_of(candidate, parents)
    return vocabulary.index.get(unknown_of(code), vocabulary.index[UNKNOWN])


def tokenize_events(
    events: pl.DataFrame, vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]]
) -> TokenRows:
    """Tokenise one shard with a frozen vocabulary.

    Args:
        events: A checked MEDS shard; subjects without birth are left out and counted.
        vocabulary: What to map to.
        parents: Code to its parents (from codes.parquet), for codes that train never saw.
    """
    span = follow_up(events).sort("subject_id")
    dated = dated_events(events, span)
    placed = place_values(dated, vocabulary.units)
    binned = bin_codes(placed, vocabulary.edges)
    mapping = _mapping(binned.select("code", "bin").unique(), vocabulary, parents)
    clinical = binned.join(mapping, on=["code", "bin"], nulls_equal=True)
    clinical = clinical.select("subject_id", "minutes", "token", "code")
    births = span.select("subject_id", minutes=pl.lit(0, pl.Int32), token=pl.lit(BIRTH_TOKEN, pl.Int32))
    rows = pl.concat([births, clinical.drop("code")]).sort("subject_id", "minutes", "token")
    statics = _static_rows(events, vocabulary, span)
    counts = _counts(events, dated, clinical, vocabulary, span)
    counts.update(count_units(placed, vocabulary.edges, vocabulary.units))
    sexes = [index for index, code in enumerate(vocabulary.statics, 1) if female_of(code) is not None]
    sexed = statics.filter(pl.col("static").is_in(sexes))
    counts["num_subjects_with_sex"] = sexed["subject_id"].n_unique()
    unknown_codes = _unknown_codes(clinical, vocabulary)
    num_deaths = int((clinical["code"] == DEATH_CODE).sum())
    num_known = clinical.height - num_deaths - sum(unknown_codes.values())
    return TokenRows(rows, _subject_rows(span), statics, counts, unknown_codes, num_known)


def _mapping(
    pairs: pl.DataFrame, vocabulary: Vocabulary, parents: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """Token of every pair of code and bin."""
    plain = resolve_codes(pairs.filter(pl.col("bin").is_null())["code"].to_list(), vocabulary, parents)
    tokens = [
        plain[code] if number is None else vocabulary.bin_index[code, number] for code, number in pairs.rows()
    ]
    return pairs.with_columns(pl.Series("token", tokens, dtype=pl.Int32))


def _unknown_codes(clinical: pl.DataFrame, vocabulary: Vocabulary) -> dict[str, int]:
    """Rows of each code that an unknown token stands for."""
    unknown = [number for number, token in enumerate(vocabulary.tokens) if token.is_unknown]
    return dict(clinical.filter(pl.col("token").is_in(unknown))["code"].value_counts().iter_rows())


def _subject_rows(span: pl.DataFrame) -> pl.DataFrame:
    def minutes(name: str) -> pl.Expr:
        elapsed = (pl.col(name) - pl.col("birth_time")).dt.total_microseconds() // MICROSECONDS_PER_MINUTE
        return elapsed.cast(pl.Int32)

    return span.select(
        "subject_id",
        "birth_time",
        "entry_time",
        "exit_time",
        minutes("entry_time").alias("entry_minutes"),
        minutes("exit_time").alias("exit_minutes"),
        pl.col("death_time").is_not_null().alias("died"),
    )


def _static_rows(events: pl.DataFrame, vocabulary: Vocabulary, span: pl.DataFrame) -> pl.DataFrame:
    """Statics of the vocabulary; a sex that it spells in another way is that of the same sex."""
    known = {code: index + 1 for index, code in enumerate(vocabulary.statics)}
    by_sex = {female_of(code): index for code, index in reversed(known.items())}
    undated = events.filter(pl.col("time").is_null())
    for code in undated["code"].unique().to_list():
        if (sex := female_of(code)) is not None and sex in by_sex:
            known.setdefault(code, by_sex[sex])
    statics = undated.filter(pl.col("code").is_in(list(known)))
    return (
        statics.join(span.select("subject_id"), on="subject_id")
        .select("subject_id", pl.col("code").replace_strict(known, return_dtype=pl.Int32).alias("static"))
        .unique()
        .sort("subject_id", "static")
    )


def _counts(
    events: pl.DataFrame,
    dated: pl.DataFrame,
    clinical: pl.DataFrame,
    vocabulary: Vocabulary,
    span: pl.DataFrame,
) -> dict[str, int]:
    token = clinical["token"].to_numpy()
    unknown = np.array([one.is_unknown for one in vocabulary.tokens])[token]
    is_same = clinical["code"] == pl.Series(vocabulary.base_codes(), dtype=pl.String).gather(token)
    rolled = ~is_same.to_numpy() & ~unknown
    special = events.filter(pl.col("time").is_null() | pl.col("code").is_in([BIRTH, ENTRY, EXIT])).height
    with_birth = events.join(span.select("subject_id"), on="subject_id", how="semi")
    special_kept = with_birth.filter(
        pl.col("time").is_null() | pl.col("code").is_in([BIRTH, ENTRY, EXIT])
    ).height
    return {
        "num_rows": events.height,
        "num_rows_static_or_marker": special,
        "num_rows_subject_without_birth": events.height - with_birth.height - (special - special_kept),
        "num_rows_outside_life_or_follow_up": with_birth.height - special_kept - dated.height,
        "num_rows_rolled_up": int(rolled.sum()),
        "num_rows_unknown": int(unknown.sum()),
        "num_subjects": span.height,
        "num_subjects_without_birth": events["subject_id"].n_unique() - span.height,
        "num_tokens": clinical.height + span.height,
    }
