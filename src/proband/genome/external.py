"""Scores computed elsewhere, written as this stage writes its own.

Read are pgsc_calc's aggregated long file, and tables of one row per sample
(:mod:`proband.genome.scorefiles.scoretables`). Whatever they hold is taken as raw sums; nothing is matched
here, so the match report is empty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from proband.core.errors import DataError
from proband.core.files.jsonfiles import write_json
from proband.core.files.provenance import is_finished, stage_output
from proband.core.running.progress import say
from proband.core.schema import MATCH, SAMPLES
from proband.genome.ancestry.config import AncestryConfig, AncestryInputs
from proband.genome.cohorts import SourceCohorts, cohort_counts, say_cohorts
from proband.genome.constant import say_constant
from proband.genome.genotypes.samples import identify
from proband.genome.leftout import LeftOut
from proband.genome.names import refuse_subject
from proband.genome.scorefiles.scoretables import (
    ScoreTable,
    batches,
    check_sample_sets,
    columns_of,
    read_table,
)
from proband.genome.scorefiles.tablecolumns import REFERENCE

_LONG = ("sampleset", "IID", "PGS", "SUM")
_ROW_GROUP_BYTES = 2**27


def genome_from_scores(
    files: Sequence[Path],
    out: Path,
    *,
    samples: Path | None = None,
    development: Path | None = None,
    own_cohort: Sequence[str] = (),
    ancestry: AncestryConfig | None = None,
    ancestry_inputs: AncestryInputs | None = None,
    overwrite: bool = False,
) -> None:
    """Write a genome folder from scores computed elsewhere.

    Args:
        files: One aggregated file of pgsc_calc; or tables (plink2's .sscore, plink 1.9's .profile, PRSice's
            .best, text of any separator, Parquet) with the sample in ``subject_id``, ``IID``, ``eid`` or the
            like (:mod:`proband.genome.names`), else in the first column that holds names.
        out: Output folder, as of :func:`proband.genome.genome`.
        samples: Table of ``sample_id, subject_id``.
        development: Table of source cohorts, see :func:`proband.genome.cohorts.read_cohorts`.
        own_cohort: The cohorts whose people are scored.
        ancestry: Settings of the ancestry step, which then needs components given; None to leave it out.
        ancestry_inputs: Files it reads.
        overwrite: Make the output anew.

    Raises:
        ConfigError: The output folder is in use.
        DataError: A file is no such file, holds averages only, or has a sample or score twice.
    """
    extra = ancestry_inputs or AncestryInputs()
    cohorts = SourceCohorts.read(development, own_cohort)
    inputs = [*files, *(path for path in (samples, development) if path), *extra.given]
    config = {"from_scores": [path.name for path in files], "ancestry": ancestry and ancestry.model_dump()}
    config |= {"own_cohort": list(own_cohort)} if own_cohort else {}
    if is_finished(out, "genome", config, overwrite, inputs):
        return
    left_out = LeftOut()
    with stage_output(out, stage="genome", config=config, inputs=inputs, overwrite=overwrite) as run:
        with tempfile.TemporaryDirectory(dir=run.folder) as scratch:
            table = _read(files, Path(scratch), left_out)
            sample_ids, names = table.sample_ids, table.names
            for name in names:
                refuse_subject(name, files[0], "give the score, or the file it is called after, another name")
            who = identify(sample_ids, samples, files[0], left_out)
            _write(run.folder / "scores.parquet", who["subject_id"], names, table.sums)
        say_constant(run.folder / "scores.parquet", names)
        SAMPLES.write(who, run.folder / "samples.parquet")
        MATCH.write(MATCH.empty(), run.folder / "match.parquet")
        described: dict[str, dict[str, Any]] = {name: {"name": None, "trait": None} for name in names}
        if cohorts:
            described = cohorts.mark(described)
        write_json(run.folder / "scores.json", described)
        say_cohorts(described, own_cohort)
        run.counts |= {"num_subjects": len(sample_ids), "num_scores": len(names)} | cohort_counts(described)
        run.notes["rows_left_out"] = left_out.rows
        if ancestry:
            from proband.genome.ancestry.stage import run_ancestry

            scores = run.folder / "scores.parquet"
            run.counts |= run_ancestry(None, who, scores, run.folder, ancestry, extra)


def _read(files: Sequence[Path], scratch: Path, left_out: LeftOut) -> ScoreTable:
    """All files together; the sums of a long one lie on disk."""
    tables = []
    for path in files:
        if set(_LONG) <= set(columns_of(path)):
            if len(files) > 1:
                remedy = "give one aggregated file at a time"
                raise DataError("several files where one is long", where=path, remedy=remedy)
            return _read_long(path, scratch, left_out)
        tables.append(read_table(path, left_out))
    return _join(files, tables)


def _long_batches(path: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """Rows of a long file with the number of the first, ``is_whole`` where all names are given."""
    num_rows = 0
    for batch in batches(path, list(_LONG)):
        yield num_rows, batch.with_columns(is_whole=pl.all_horizontal(pl.col(_LONG[:3]).is_not_null()))
        num_rows += batch.height


def _read_long(path: Path, scratch: Path, left_out: LeftOut) -> ScoreTable:
    """pgsc_calc's ``aggregated_scores.txt.gz``, read twice: for its samples and scores, then for the sums."""
    seen: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for _, batch in _long_batches(path):
        for (name,), rows in batch.filter("is_whole").group_by("sampleset", maintain_order=True):
            known = seen.setdefault(str(name), ({}, {}))
            for column, names_seen in zip(("IID", "PGS"), known, strict=True):
                names_seen.update(dict.fromkeys(rows[column].unique(maintain_order=True)))
    targets = [name for name in seen if name != REFERENCE]
    check_sample_sets(set(seen), path)
    if not targets:
        raise DataError("score table without rows", where=path, remedy="make it again")
    sample_ids, names = (list(known) for known in seen[targets[0]])
    sums = np.lib.format.open_memmap(scratch / "sums.npy", "w+", np.float32, (len(names), len(sample_ids)))
    sums[:] = np.nan
    _fill(sums, path, targets[0], sample_ids, names, left_out)
    return ScoreTable(sample_ids, names, sums)


def _fill(
    sums: Float32[np.ndarray, "scores samples"],
    path: Path,
    sampleset: str,
    sample_ids: list[str],
    names: list[str],
    left_out: LeftOut,
) -> None:
    """Fill in the sums of a long file.

    Raises:
        DataError: A sum is no finite number, or a pair of sample and score comes twice.
    """
    num_sums, unnamed, empty = 0, [], []
    for before, batch in _long_batches(path):
        rows = batch.with_row_index("row", offset=before + 1)
        unnamed += rows.filter(~pl.col("is_whole"))["row"].to_list()
        rows = rows.filter((pl.col("sampleset") == sampleset) & pl.col("is_whole"))
        empty += rows.filter(pl.col("SUM").is_null())["row"].to_list()
        rows = rows.drop_nulls("SUM").with_columns(number=pl.col("SUM").cast(pl.Float64, strict=False))
        wrong = rows.filter(~pl.col("number").cast(pl.Float32).is_finite().fill_null(False))
        if wrong.height:
            found = f"{wrong['SUM'][0]!r} in row {wrong['row'][0]}"
            raise DataError("SUM is no finite number", where=path, found=found, remedy="mend or drop the row")
        score = rows["PGS"].cast(pl.Enum(names)).to_physical().to_numpy()
        sample = rows["IID"].cast(pl.Enum(sample_ids)).to_physical().to_numpy()
        sums[score, sample] = rows["number"].to_numpy()
        num_sums += rows.height
    left_out.add(path, "no sampleset, IID or PGS", len(unnamed), f"row {unnamed[0]}" if unnamed else "")
    left_out.add(path, "no SUM", len(empty), f"row {empty[0]}" if empty else "")
    num_filled = int((~np.isnan(sums)).sum())
    if num_sums > num_filled:
        found, remedy = (
            f"{num_sums} rows for {num_filled} pairs of sample and score",
            "keep one row of each pair",
        )
        raise DataError("repeated sums", where=path, found=found, remedy=remedy)
    if not num_filled:
        raise DataError("score table without a sum", where=path, remedy="make it again")
    if num_filled < sums.size:
        say(f"genome: {sums.size - num_filled} of {sums.size} sums are not in {path.name}; they are NaN")


def _join(files: Sequence[Path], tables: list[ScoreTable]) -> ScoreTable:
    """Tables of the same samples side by side; added where all have the same scores, one per chromosome."""
    sample_ids, names = tables[0].sample_ids, tables[0].names
    for path, table in zip(files, tables, strict=True):
        if table.sample_ids != sample_ids:
            remedy = "give files of the same samples in the same order"
            raise DataError("the files hold different samples", where=path, remedy=remedy)
    all_names = [name for table in tables for name in table.names]
    if len(tables) > 1 and all(table.names == names for table in tables):
        say(f"genome: {len(tables)} files hold the same scores, as of one chromosome each: sums are added")
        total = np.stack([table.sums for table in tables]).sum(axis=0, dtype=np.float64)
        return ScoreTable(sample_ids, names, total.astype(np.float32))
    repeated = next((name for name in all_names if all_names.count(name) > 1), None)
    if repeated:
        remedy = "give each score once, or the same scores in every file"
        raise DataError("a score comes more than once", where=files[0], found=repeated, remedy=remedy)
    return ScoreTable(sample_ids, all_names, np.concatenate([table.sums for table in tables]))


def _write(
    path: Path, subjects: pl.Series, names: list[str], sums: Float32[np.ndarray, "scores samples"]
) -> None:
    schema = pa.schema([("subject_id", pa.int64()), *((name, pa.float32()) for name in names)])
    step = max(1, _ROW_GROUP_BYTES // (4 * len(names)))
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for start in range(0, len(subjects), step):
            columns = [subjects.slice(start, step).to_arrow(), *map(pa.array, sums[:, start : start + step])]
            writer.write_table(pa.table(columns, schema=schema))
