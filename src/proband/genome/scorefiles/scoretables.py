"""Tables of scores computed elsewhere, as the programs that make them write them.

plink2's .sscore, plink 1.9's .profile, PRSice's .best and .all_score, and any table of one row per sample and
one column per score (tabs, commas or runs of blanks; or Parquet). Names of samples are text, leading zeros
and all; a value that is no number stops the reading, an empty one is NaN.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float32

from proband.core.errors import DataError, first_line
from proband.core.files.tables import as_text, is_parquet, read_parquet
from proband.core.running.progress import say
from proband.core.text.plaintext import check_text
from proband.core.text.texttable import READ_ERRORS, check_names, num_row_names, separator_of, split_line
from proband.core.text.textvalues import EXACT_FLOAT, MISSING, clean
from proband.genome.leftout import LeftOut
from proband.genome.scorefiles.tablecolumns import REFERENCE, ROW_NAME, SAMPLE_SET, SUM, choose, has_sums

_ONE_SCORE = ("PRS", "SCORE", "SCORESUM")
"""Names of the only score of PRSice's .best and plink 1.9's .profile, which tell nothing."""
_AVERAGES = ("PRS", "SCORE")
_ENDINGS = (".gz", ".best", ".profile", ".sscore", ".all_score", ".txt", ".tsv", ".csv", ".parquet")
_EXACT_FLOAT32 = 2**24
_BATCH_BYTES, _BATCH_LINES = 2**24, 2**16


@dataclass(frozen=True)
class ScoreTable:
    """Scores of some samples.

    Attributes:
        sample_ids: Names of the samples.
        names: Names of the scores.
        sums: The scores; NaN where missing.
    """

    sample_ids: list[str]
    names: list[str]
    sums: Float32[np.ndarray, "_scores _samples"]


@dataclass(frozen=True)
class _Layout:
    """Where a text table begins, what separates its values, and what its columns are called."""

    num_header: int
    separator: str
    columns: list[str]


def unreadable(path: Path, error: object) -> DataError:
    """The error of a file that cannot be read to its end."""
    found = first_line(error)
    remedy = "the file is truncated or no table: copy or make it again"
    return DataError("unreadable score table", where=path, found=found, remedy=remedy)


def columns_of(path: Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        DataError: The file is unreadable or empty.
    """
    if not is_parquet(path):
        return _layout(path).columns
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from None


def _layout(path: Path) -> _Layout:
    try:
        with _open(path) as lines:
            num_header = 0
            for line in lines:
                if line.strip() and not line.startswith("##"):
                    break
                num_header += 1
            else:
                raise unreadable(path, "an empty file")
            first = next((row for row in lines if row.strip()), "")
        separator = separator_of(line)
        columns = split_line(line, separator)
        columns = [ROW_NAME] * num_row_names(first, separator, columns) + columns
    except (*READ_ERRORS, pa.ArrowException) as error:
        raise unreadable(path, error) from None
    if not first:
        raise DataError("score table without rows", where=path, remedy="make it again")
    check_names(columns, path)
    columns = [name or f"{ROW_NAME} {number}" for number, name in enumerate(columns, 1)]
    return _Layout(num_header + 1, separator, columns)


def _open(path: Path) -> io.TextIOWrapper:
    check_text(path)
    stream = pa.input_stream(path, compression="detect")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n")


def batches(path: Path, names: list[str]) -> Iterator[pl.DataFrame]:
    """The columns called ``names`` of a text table as text, some thousand rows at a time; null where missing.

    Raises:
        DataError: The file cannot be read to its end, or a row has another number of values.
    """
    layout = _layout(path)
    read = _by_blanks if layout.separator == " " else _by_marks
    try:
        for batch in read(path, layout, names):
            yield batch.select(clean(batch[name], MISSING) for name in names)
    except (*READ_ERRORS, pa.ArrowException, pl.exceptions.PolarsError, KeyError) as error:
        raise unreadable(path, error) from None


def _by_marks(path: Path, layout: _Layout, names: list[str]) -> Iterator[pl.DataFrame]:
    is_comma = layout.separator == ","
    with pa.input_stream(path, compression="detect") as stream:
        reader = pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(
                block_size=_BATCH_BYTES,
                use_threads=False,
                skip_rows=layout.num_header,
                column_names=layout.columns,
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=layout.separator, quote_char='"' if is_comma else False
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(layout.columns, pa.string()),
                null_values=list(MISSING),
                strings_can_be_null=True,
            ),
        )
        for batch in reader:
            yield pl.DataFrame(batch)


def _by_blanks(path: Path, layout: _Layout, names: list[str]) -> Iterator[pl.DataFrame]:
    at = [layout.columns.index(name) for name in names]
    with _open(path) as lines:
        rows = islice(enumerate(lines, 1), layout.num_header, None)
        filled = ((number, split_line(line, " ")) for number, line in rows if line.strip())
        while batch := list(islice(filled, _BATCH_LINES)):
            for number, row in batch:
                if len(row) != len(layout.columns):
                    found = f"{len(row)} values on line {number} for {len(layout.columns)} columns"
                    raise unreadable(path, found)
            cells = [[row[place] for place in at] for _, row in batch]
            frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
            yield frame.select(pl.when(~pl.all().is_in(MISSING)).then(pl.all()))


def read_table(path: Path, left_out: LeftOut) -> ScoreTable:
    """A table of one row per sample; of pgsc_calc's sample sets the one besides ``reference``.

    Args:
        path: The file.
        left_out: Notes rows without a sample's name.

    Raises:
        DataError: It is unreadable or empty, holds no scores, averages of plink2 alone, no one column of
            samples, several sample sets, or a value that is no finite number.
    """
    columns = columns_of(path)
    identifier, names = choose(path, columns, lambda name: _names_of(path, name))
    wanted = [identifier, *names, *({SAMPLE_SET} & set(columns))]
    frames = _frames(path, wanted)
    sample_sets: set[str | None] = set()
    sample_ids: list[str] = []
    parts, num_read, unnamed = [], 0, []
    for frame in frames:
        who = _names(frame[identifier], path)
        values = _numbers(frame[names], path, num_read)
        unnamed += [num_read + row + 1 for row in np.flatnonzero(who.is_null().to_numpy()).tolist()]
        is_target = who.is_not_null()
        if SAMPLE_SET in frame.columns:
            sample_sets |= set(frame[SAMPLE_SET].unique())
            is_target &= frame[SAMPLE_SET].ne_missing(REFERENCE)
        parts.append(values[:, is_target.to_numpy()])
        sample_ids += who.filter(is_target).to_list()
        num_read += frame.height
    left_out.add(path, f"no {identifier}", len(unnamed), f"row {unnamed[0]}" if unnamed else "")
    check_sample_sets(sample_sets, path)
    if not sample_ids:
        raise DataError("score table without rows", where=path, remedy="make it again")
    return ScoreTable(sample_ids, _told_names(path, columns, names), np.concatenate(parts, axis=1))


def check_sample_sets(found: set[str | None], path: Path) -> None:
    """Say that the rows of pgsc_calc's panel are left out, if they are.

    Raises:
        DataError: There are several sample sets besides it.
    """
    targets = sorted(map(str, found - {REFERENCE}))
    if len(targets) > 1 or (found and not targets):
        raise DataError(
            "not one sample set",
            where=path,
            found=", ".join(targets) or f"{REFERENCE} only",
            remedy="keep the rows of one sampleset",
        )
    if REFERENCE in found:
        say(f"genome: the rows of the sample set {REFERENCE} in {path.name} are left out")


def _frames(path: Path, names: list[str]) -> Iterable[pl.DataFrame]:
    return [read_parquet(path, names)] if is_parquet(path) else batches(path, names)


def _names_of(path: Path, name: str) -> pl.Series:
    """A whole column as text."""
    return pl.concat([_names(frame[name], path) for frame in _frames(path, [name])])


def _names(values: pl.Series, path: Path) -> pl.Series:
    """Names of samples as text; whole floats, as pandas makes of integers, without their fraction.

    Raises:
        DataError: A float is so large that it does not tell whole numbers apart.
    """
    if values.dtype.is_float():
        most = EXACT_FLOAT if values.dtype == pl.Float64 else _EXACT_FLOAT32
        if (beyond := values.filter(values.abs() > most)).len():
            raise DataError(
                "names of samples that were rounded",
                where=path,
                found=f"{beyond[0]:.0f} in {values.name}, of type {values.dtype}",
                expected="whole numbers or text",
                remedy=f"write {values.name} as whole numbers or text, from the source",
            )
        whole = values.cast(pl.Int64, strict=False)
        return whole.cast(pl.String) if (whole.cast(values.dtype) == values).all() else values.cast(pl.String)
    return as_text(values, path)


def _numbers(frame: pl.DataFrame, path: Path, num_before: int) -> Float32[np.ndarray, "scores samples"]:
    columns = []
    for values in frame:
        can = values.dtype == pl.String or values.dtype.is_numeric()
        numbers = (
            values.cast(pl.Float64, strict=False)
            if can
            else pl.Series([None] * len(values), dtype=pl.Float64)
        )
        is_wrong = (numbers.is_null() & values.is_not_null()) | numbers.cast(
            pl.Float32
        ).is_infinite().fill_null(False)
        if is_wrong.any():
            row = int(is_wrong.arg_max() or 0)
            raise DataError(
                "not a table of scores",
                where=path,
                found=f"{values.name} of type {values.dtype}, {values[row]!r} in row {num_before + row + 1}",
                expected="one row per sample: its name, then finite numbers",
            )
        columns.append(numbers.cast(pl.Float32).to_numpy())
    return np.stack(columns)


def _told_names(path: Path, columns: list[str], names: list[str]) -> list[str]:
    """Names of the scores: a .sscore's without ``_SUM``; the one of a .best or .profile as its file."""
    if len(names) > 1 or names[0] not in _ONE_SCORE:
        return [name.removesuffix(SUM) for name in names] if has_sums(path, columns) else names
    told = path.name
    while ending := next((ending for ending in _ENDINGS if told.endswith(ending) and told != ending), ""):
        told = told.removesuffix(ending)
    average = " (an average per allele, taken as it is)" if names[0] in _AVERAGES else ""
    say(f"genome: {names[0]} of {path.name}{average} is the score {told}")
    return [told]
