"""Scores computed elsewhere, written as this stage writes its own.

Read are pgsc_calc's aggregated long file, plink2's .sscore files, and tables of one row per sample and one
column per score. Whatever they hold is taken as raw sums; nothing is matched here, so the match report is
empty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float32

from proband.core.errors import DataError
from proband.core.progress import say
from proband.core.provenance import is_finished, stage_output, write_json
from proband.core.schema import MATCH, SAMPLES, read_parquet
from proband.genome.ancestry.config import AncestryConfig
from proband.genome.config import AncestryInputs
from proband.genome.samples import identify

_LONG = ("sampleset", "IID", "PGS", "SUM")
_REFERENCE = "reference"  # pgsc_calc's name of the panel's sample set
_IDS = ("#IID", "IID", "sample_id", "subject_id")
_NO_SCORES = ("#FID", "FID", "PHENO1", "ALLELE_CT", "DENOM", "NAMED_ALLELE_DOSAGE_SUM")
_SUM, _AVG = "_SUM", "_AVG"
_Table = tuple[list[str], list[str], Float32[np.ndarray, "_scores _samples"]]
"""Samples, scores and sums."""

_BATCH_BYTES = 2**24
_ROW_GROUP_BYTES = 2**27


def genome_from_scores(
    files: Sequence[Path],
    out: Path,
    *,
    samples: Path | None = None,
    ancestry: AncestryConfig | None = None,
    ancestry_inputs: AncestryInputs | None = None,
    overwrite: bool = False,
) -> None:
    """Write a genome folder from scores computed elsewhere.

    Args:
        files: One aggregated file of pgsc_calc; one or several .sscore files of plink2; or tables (TSV, CSV
            or Parquet) with the sample in ``IID``, ``sample_id`` or ``subject_id``, else in the first column.
        out: Output folder, as of :func:`proband.genome.genome`.
        samples: Tab-separated file of ``sample_id, subject_id``.
        ancestry: Settings of the ancestry step, which then needs components given; None to leave it out.
        ancestry_inputs: Files it reads.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The output folder is in use.
        DataError: A file is no such file, holds averages only, or has a sample or score twice.
    """
    extra = ancestry_inputs or AncestryInputs()
    inputs = [*files, *([samples] if samples else []), *extra.given]
    config = {"from_scores": [path.name for path in files], "ancestry": ancestry and ancestry.model_dump()}
    if is_finished(out, "genome", config, overwrite, inputs):
        return
    with stage_output(out, stage="genome", config=config, inputs=inputs) as run:
        with tempfile.TemporaryDirectory(dir=run.folder) as scratch:
            sample_ids, names, sums = _read(files, Path(scratch))
            who = identify(sample_ids, samples, files[0])
            _write(run.folder / "scores.parquet", who["subject_id"], names, sums)
        SAMPLES.write(who, run.folder / "samples.parquet")
        MATCH.write(MATCH.empty(), run.folder / "match.parquet")
        write_json(run.folder / "scores.json", {name: {"name": None, "trait": None} for name in names})
        run.counts |= {"num_subjects": len(sample_ids), "num_scores": len(names)}
        if ancestry:
            from proband.genome.ancestry.stage import run_ancestry

            scores = run.folder / "scores.parquet"
            run.counts |= run_ancestry(None, who, scores, run.folder, ancestry, **asdict(extra))


def _read(files: Sequence[Path], scratch: Path) -> _Table:
    """All files together; the sums of a long one lie on disk."""
    tables = []
    for path in files:
        columns = _columns(path)
        if set(_LONG) <= set(columns):
            if len(files) > 1:
                remedy = "give one aggregated file at a time"
                raise DataError("several files where one is long", where=path, remedy=remedy)
            return _read_long(path, scratch)
        is_sscore = any(name.endswith((_SUM, _AVG)) and name not in _NO_SCORES for name in columns)
        tables.append(_read_sscore(path, columns) if is_sscore else _read_wide(path))
    return _join(files, tables)


def _columns(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return _parquet_columns(path)
    for batch in _batches(path, None):
        return batch.schema.names
    raise DataError("score table without rows", where=path, remedy="make it again")


def _parquet_columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "the file is truncated or no table: copy or make it again"
    return DataError("unreadable score table", where=path, found=found, remedy=remedy)


def _batches(path: Path, types: dict[str, pa.DataType] | None) -> Iterator[pa.RecordBatch]:
    """A text table a few thousand rows at a time, unpacked on the way; all columns, or those typed."""
    try:
        with pa.input_stream(path, compression="detect") as stream:
            reader = pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(block_size=_BATCH_BYTES, use_threads=False),
                parse_options=pa.csv.ParseOptions(delimiter="," if ".csv" in path.name else "\t"),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(types or ()), column_types=types, strings_can_be_null=True
                ),
            )
            yield from reader
    except (pa.ArrowException, OSError, EOFError, KeyError) as error:
        raise _unreadable(path, error) from None


def _read_long(path: Path, scratch: Path) -> _Table:
    """pgsc_calc's ``aggregated_scores.txt.gz``, read twice: for its samples and scores, then for the sums."""
    text = {name: pa.string() for name in _LONG[:3]}
    seen: dict[str | None, tuple[dict[str, None], dict[str, None]]] = {}
    for batch in _batches(path, text):
        for (name,), rows in pl.DataFrame(batch).group_by("sampleset", maintain_order=True):
            known = seen.setdefault(name, ({}, {}))
            for column, names_seen in zip(("IID", "PGS"), known, strict=True):
                names_seen.update(dict.fromkeys(rows[column].unique(maintain_order=True)))
    targets = [name for name in seen if name != _REFERENCE]
    if len(targets) != 1:
        found = ", ".join(map(str, targets)) or "none"
        raise DataError(
            "not one sample set", where=path, found=found, remedy="keep the rows of one sampleset"
        )
    if len(seen) > 1:
        say(f"genome: the rows of the sample set {_REFERENCE} in {path.name} are left out")
    sample_ids, names = (list(known) for known in seen[targets[0]])
    sums = np.lib.format.open_memmap(scratch / "sums.npy", "w+", np.float32, (len(names), len(sample_ids)))
    sums[:] = np.nan
    num_rows = 0
    for batch in _batches(path, text | {"SUM": pa.float64()}):
        rows = pl.DataFrame(batch).filter(pl.col("sampleset") == targets[0])
        score = rows["PGS"].cast(pl.Enum(names)).to_physical().to_numpy()
        sample = rows["IID"].cast(pl.Enum(sample_ids)).to_physical().to_numpy()
        sums[score, sample] = rows["SUM"].to_numpy()
        num_rows += rows.height
    num_filled = int((~np.isnan(sums)).sum())
    if num_rows > num_filled:
        found = f"{num_rows} rows for {num_filled} pairs of sample and score with a number"
        remedy = "keep one row of each pair, with its sum"
        raise DataError("repeated or empty sums", where=path, found=found, remedy=remedy)
    if num_filled < sums.size:
        say(f"genome: {sums.size - num_filled} of {sums.size} sums are not in {path.name}; they are NaN")
    return sample_ids, names, sums


def _read_sscore(path: Path, columns: list[str]) -> _Table:
    """Sums of a .sscore of plink2."""
    names = [name for name in columns if name.endswith(_SUM) and name not in _NO_SCORES]
    if not names:
        raise DataError(
            "averages in place of sums",
            where=path,
            found=next(name for name in columns if name.endswith(_AVG)),
            expected=f"columns that end in {_SUM}",
            remedy="plink2 divides all scores of a file by one number of alleles, so averages cannot be "
            "compared: run it with cols=+scoresums",
        )
    identifier = next((name for name in _IDS if name in columns), columns[0])
    frame = _frame(path, {identifier: pa.string()} | {name: pa.float32() for name in names})
    return frame[identifier].to_list(), [name.removesuffix(_SUM) for name in names], _matrix(frame, names)


def _read_wide(path: Path) -> _Table:
    """A table of one row per sample and one column per score."""
    frame = read_parquet(path) if path.suffix == ".parquet" else _frame(path, None)
    identifier = next((name for name in _IDS if name in frame.columns), frame.columns[0])
    names = [name for name in frame.columns if name != identifier and name not in _NO_SCORES]
    text = next((name for name in names if not frame.schema[name].is_numeric()), None)
    if text or not names:
        found = f"{text} of type {frame.schema[text]}" if text else "no column of scores"
        expected = "one row per sample: its name, then numbers"
        raise DataError("not a table of scores", where=path, found=found, expected=expected)
    return frame[identifier].cast(pl.String).to_list(), names, _matrix(frame, names)


def _frame(path: Path, types: dict[str, pa.DataType] | None) -> pl.DataFrame:
    frames = [pl.DataFrame(batch) for batch in _batches(path, types)]
    if not frames or not sum(frame.height for frame in frames):
        raise DataError("score table without rows", where=path, remedy="make it again")
    return pl.concat(frames)


def _matrix(frame: pl.DataFrame, names: list[str]) -> Float32[np.ndarray, "scores samples"]:
    return frame.select(pl.col(names).cast(pl.Float32)).to_numpy().T


def _join(files: Sequence[Path], tables: list[_Table]) -> _Table:
    """Tables of the same samples side by side; added where all have the same scores, one per chromosome."""
    sample_ids, names, _ = tables[0]
    for path, (others, _, _) in zip(files, tables, strict=True):
        if others != sample_ids:
            remedy = "give files of the same samples in the same order"
            raise DataError("the files hold different samples", where=path, remedy=remedy)
    all_names = [name for _, own, _ in tables for name in own]
    if len(tables) > 1 and all(own == names for _, own, _ in tables):
        say(f"genome: {len(tables)} files hold the same scores, as of one chromosome each: sums are added")
        total = np.stack([own for _, _, own in tables]).sum(axis=0, dtype=np.float64)
        return sample_ids, names, total.astype(np.float32)
    repeated = next((name for name in all_names if all_names.count(name) > 1), None)
    if repeated:
        remedy = "give each score once, or the same scores in every file"
        raise DataError("a score comes more than once", where=files[0], found=repeated, remedy=remedy)
    return sample_ids, all_names, np.concatenate([own for _, _, own in tables])


def _write(
    path: Path, subjects: pl.Series, names: list[str], sums: Float32[np.ndarray, "scores samples"]
) -> None:
    schema = pa.schema([("subject_id", pa.int64()), *((name, pa.float32()) for name in names)])
    step = max(1, _ROW_GROUP_BYTES // (4 * len(names)))
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for start in range(0, len(subjects), step):
            columns = [subjects.slice(start, step).to_arrow(), *map(pa.array, sums[:, start : start + step])]
            writer.write_table(pa.table(columns, schema=schema))
