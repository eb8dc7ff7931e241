"""The record summary: what a subject has had by a date, as sparse features.

For every code (value bins together) that a subject has had, and for time stamps as a whole:

| feature | value at a query |
|---|---|
| count | log(1 + number of times had) |
| recent | log(1 + Σ exp(-years since each time)), a count that decays over a year |
| recency | 1 / (1 + years since the last time) |
| mean value | mean place of the values' bins, -1/2 for the lowest to 1/2 for the highest (codes with bins) |
| last value | place of the last value's bin |
| last bin | 1 for the bin of the last value (one feature per bin) |

A code never had gives no features, which is 0 everywhere. A query reads what happened at or before its own
minute, in one pass over each subject's record, so it is causal and costs what the record is long. The model
reads it beside the sequence, and gradient boosting reads the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64

from proband.core.running.compiled import compiled
from proband.core.units import MINUTES_PER_YEAR
from proband.tokens.dataset import TokenStore
from proband.tokens.vocabulary import BIRTH_TOKEN, Vocabulary

ANY_EVENT = "any event"
"""Name of the summary's entry for time stamps as a whole."""
_PER_CODE = ("count", "recent", "recency")
_PER_VALUED = ("mean value", "last value")


@dataclass(frozen=True)
class SparseFeatures:
    """Rows of sparse features (compressed sparse rows); what is not listed is 0.

    Attributes:
        indptr: Row r owns entries ``indptr[r]`` to ``indptr[r + 1]``.
        indices: Feature of each entry.
        values: Its value.
        code_of_feature: Entry of the summary, a code, of each feature that may be listed.
    """

    indptr: Int64[np.ndarray, " bounds"]
    indices: Int32[np.ndarray, " entries"]
    values: Float32[np.ndarray, " entries"]
    code_of_feature: Int64[np.ndarray, " features"]

    @property
    def num_features(self) -> int:
        """Features there are."""
        return len(self.code_of_feature)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, rows: Int64[np.ndarray, " some"]) -> SparseFeatures:
        """Some of the rows, in that order."""
        sizes = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        entries = np.repeat(self.indptr[rows] - indptr[:-1], sizes) + np.arange(indptr[-1])
        return replace(self, indptr=indptr, indices=self.indices[entries], values=self.values[entries])


@dataclass(frozen=True)
class SummaryLayout:
    """Which feature says what; a function of the vocabulary alone.

    Attributes:
        codes: The summary's entries: codes without value bins in the order of tokens, then ``any event``.
        code_of: Entry of each token; -1 for padding and birth, which are not summarised.
        place: Place of each token's value bin, -1/2 to 1/2; 0 without one.
        valued: Place of each entry among those with value bins, -1 without.
        bin_of: Place of each token among value bins, -1 without.
    """

    codes: tuple[str, ...]
    code_of: Int32[np.ndarray, " vocabulary"]
    place: Float32[np.ndarray, " vocabulary"]
    valued: Int32[np.ndarray, " codes"]
    bin_of: Int32[np.ndarray, " vocabulary"]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> SummaryLayout:
        """The layout for a vocabulary."""
        base = vocabulary.base_codes()
        number_of_bin = np.array([token.bin or 0 for token in vocabulary.tokens])
        binned = number_of_bin > 0
        codes = tuple(dict.fromkeys(base[BIRTH_TOKEN + 1 :]))
        number = {code: at for at, code in enumerate(codes)}
        code_of = np.array([-1] * (BIRTH_TOKEN + 1) + [number[code] for code in base[BIRTH_TOKEN + 1 :]])
        place = np.zeros(len(base), dtype=np.float32)
        valued = np.full(len(codes) + 1, -1, dtype=np.int32)
        for token in np.flatnonzero(binned):
            bins = len(vocabulary.edges[base[token]]) + 1
            place[token] = (number_of_bin[token] - 0.5) / bins - 0.5
            if valued[code_of[token]] < 0:
                valued[code_of[token]] = valued.max() + 1
        bin_of = np.where(binned, np.cumsum(binned) - 1, -1)
        return cls((*codes, ANY_EVENT), code_of.astype(np.int32), place, valued, bin_of.astype(np.int32))

    @property
    def num_features(self) -> int:
        """Features there are."""
        return self.first_value + len(_PER_VALUED) * self.num_valued + self.num_bins

    @property
    def first_value(self) -> int:
        """First of the mean values; the last values follow them."""
        return len(_PER_CODE) * len(self.codes)

    @property
    def num_valued(self) -> int:
        """Codes with value bins."""
        return int(self.valued.max(initial=-1)) + 1

    @property
    def num_bins(self) -> int:
        """Tokens that are value bins."""
        return int(self.bin_of.max(initial=-1)) + 1

    @property
    def code_of_feature(self) -> Int64[np.ndarray, " features"]:
        """Entry that each feature is of."""
        valued = np.flatnonzero(self.valued >= 0)
        bins = self.code_of[self.bin_of >= 0]
        parts = [np.arange(len(self.codes))] * len(_PER_CODE) + [valued] * len(_PER_VALUED) + [bins]
        return np.concatenate(parts).astype(np.int64)

    def names(self, vocabulary: Vocabulary) -> list[str]:
        """Name of every feature: the code and what of it."""
        valued = [code for code, at in zip(self.codes, self.valued, strict=True) if at >= 0]
        bins = [code for code, at in zip(vocabulary.codes, self.bin_of, strict=True) if at >= 0]
        named = [f"{code}: {what}" for what in _PER_CODE for code in self.codes]
        named += [f"{code}: {what}" for what in _PER_VALUED for code in valued]
        return named + [f"{code}: last" for code in bins]


def summarise(
    store: TokenStore,
    layout: SummaryLayout,
    rows: Int64[np.ndarray, " queries"],
    minutes: Int64[np.ndarray, " queries"],
) -> SparseFeatures:
    """Features of subjects at dates.

    Args:
        store: The records.
        layout: Of the store's vocabulary.
        rows: Rows of the store; a subject may stand several times.
        minutes: Age in minutes at each query; what happened at or before it is read.

    Returns:
        A row per query, in their order; one pass over the part of each subject's record that is asked about.
    """
    order = np.lexsort((minutes, rows)).astype(np.int64)
    arrays = [
        np.asarray(store.tokens), np.asarray(store.minutes), store.offsets, rows.astype(np.int64),
        minutes.astype(np.int64), order, layout.code_of, layout.place, layout.valued, layout.bin_of,
    ]  # fmt: skip
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    kernel, sizes = _kernel(), (len(layout.codes), layout.num_valued)
    kernel(*arrays, *sizes, False, indptr, *nothing)
    np.cumsum(indptr, out=indptr)
    indices, values = np.zeros(indptr[-1], dtype=np.int32), np.zeros(indptr[-1], dtype=np.float32)
    kernel(*arrays, *sizes, True, indptr, indices, values)
    return SparseFeatures(indptr, indices, values, layout.code_of_feature)


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_summarise)


def _summarise(  # compiled by numba
    tokens: Any,
    minutes: Any,
    offsets: Any,
    rows: Any,
    until: Any,
    order: Any,
    code_of: Any,
    place: Any,
    valued: Any,
    bin_of: Any,
    num_codes: int,
    num_valued: int,
    fill: bool,
    indptr: Any,
    indices: Any,
    values: Any,
) -> None:
    """Count entries into ``indptr[query + 1]``; with ``fill``, write them instead.

    ``order`` sorts queries by subject and date; each subject's record is read once, on to its next query.
    """
    year = np.float64(MINUTES_PER_YEAR)
    count = np.zeros(num_codes, np.int64)
    recent = np.zeros(num_codes, np.float64)
    last = np.zeros(num_codes, np.int64)
    value_count = np.zeros(num_codes, np.int64)
    value_sum = np.zeros(num_codes, np.float64)
    last_bin = np.zeros(num_codes, np.int64)
    touched = np.zeros(num_codes, np.int64)
    num_touched, num_touched_valued, subject, at = 0, 0, -1, 0
    any_event = num_codes - 1
    for number in range(len(order)):
        query = order[number]
        row, now = rows[query], until[query]
        if row != subject:
            for k in range(num_touched):
                code = touched[k]
                count[code], recent[code], value_count[code], value_sum[code] = 0, 0.0, 0, 0.0
            num_touched, num_touched_valued, subject, at = 0, 0, row, offsets[row]
        while at < offsets[row + 1] and minutes[at] <= now:
            time, token = minutes[at], tokens[at]
            code = np.int64(code_of[token])
            at += 1
            if code < 0:
                continue
            for entry in (code, any_event):
                if entry == any_event and count[entry] > 0 and last[entry] == time:
                    continue  # the same time stamp
                if count[entry] == 0:
                    touched[num_touched] = entry
                    num_touched += 1
                    recent[entry] = 1.0
                else:
                    recent[entry] = recent[entry] * np.exp(-(time - last[entry]) / year) + 1.0
                count[entry] += 1
                last[entry] = time
            if bin_of[token] >= 0:
                if value_count[code] == 0:
                    num_touched_valued += 1
                value_count[code] += 1
                value_sum[code] += place[token]
                last_bin[code] = token
        if not fill:
            indptr[query + 1] = 3 * num_touched + 3 * num_touched_valued
            continue
        to = indptr[query]
        for k in range(num_touched):
            code = touched[k]
            since = (now - last[code]) / year
            indices[to], values[to] = code, np.log1p(count[code])
            indices[to + 1], values[to + 1] = (
                num_codes + code,
                np.log1p(recent[code] * np.exp(-since)),
            )
            indices[to + 2], values[to + 2] = 2 * num_codes + code, 1.0 / (1.0 + since)
            to += 3
            if value_count[code] > 0:
                beyond = 3 * num_codes
                indices[to], values[to] = beyond + valued[code], value_sum[code] / value_count[code]
                indices[to + 1], values[to + 1] = beyond + num_valued + valued[code], place[last_bin[code]]
                indices[to + 2], values[to + 2] = beyond + 2 * num_valued + bin_of[last_bin[code]], 1.0
                to += 3
