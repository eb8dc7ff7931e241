"""``proband ehr``: a source of records -> checked MEDS shards."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.provenance import StageRun, is_finished, stage_output
from proband.core.schema import read_parquet
from proband.ehr.config import EhrConfig
from proband.ehr.meds.dataset import BIRTH, CODES, DATA, DISCHARGE, Shard, list_shards
from proband.ehr.meds.kinship import Families, family_counts, read_families
from proband.ehr.meds.splits import folder_splits, read_splits
from proband.ehr.meds.write import conform_codes, write_codes, write_events
from proband.ehr.omop.sources import is_meds, open_omop, unreadable

_WORK = ".work"


def ehr(
    source: Path,
    out: Path,
    *,
    config: EhrConfig | None = None,
    kinship: Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Convert records to MEDS, check them and draw the splits.

    Args:
        source: Folder or .zip of OMOP CDM tables (Parquet or CSV), DuckDB file of them, or MEDS folder.
        out: Output folder.
        config: Settings.
        kinship: Table of related pairs, see :mod:`proband.ehr.meds.kinship`; relatives then share a split.
        workers: Processes; default one per core.
        overwrite: Make the output anew.

    Raises:
        DataError: The source is not what it should be.
        ConfigError: A setting is not usable, or ``out`` is in use.
    """
    source, out = Path(source), Path(out)
    config = config or EhrConfig()
    if kinship is None:
        config = config.model_copy(update={"kinship_threshold": None})
    inputs = [source] if kinship is None else [source, Path(kinship)]
    if is_finished(out, "ehr", config, overwrite, inputs):
        return
    convert = _from_meds if is_meds(source) else _from_omop
    families = _families(kinship, config)
    with stage_output(out, stage="ehr", config=config, inputs=inputs, seed=config.seed) as run:
        work = run.folder / _WORK
        work.mkdir()
        subjects = convert(source, config, run, workers, families)
        if families is not None:
            run.counts |= family_counts(families, subjects, inputs[-1])
        shutil.rmtree(work)


def _families(kinship: Path | None, config: EhrConfig) -> Families | None:
    """Who is related to whom; None without a table."""
    if kinship is None or config.kinship_threshold is None:
        return None
    return read_families(Path(kinship), config.kinship_threshold)


def _from_meds(
    source: Path, config: EhrConfig, run: StageRun, workers: int | None, families: Families | None
) -> pl.DataFrame:
    """Returns subject_id and split of every subject, as does :func:`_from_omop`."""
    shards = list_shards(source)
    given = read_splits(source)
    if not folder_splits({shard.split for shard in shards}, source / DATA):
        shards = [Shard(shard.path, None) for shard in shards]
    codes, subjects = write_events(source, shards, given, config, run, workers, families)
    path = source / CODES
    known = read_parquet(path) if path.is_file() else pl.DataFrame(schema={"code": pl.String})
    write_codes(conform_codes(known, path), codes, run.folder)
    run.notes["source"] = "MEDS"
    return subjects


def _from_omop(
    source: Path, config: EhrConfig, run: StageRun, workers: int | None, families: Families | None
) -> pl.DataFrame:
    import duckdb

    from proband.ehr.omop.accounts import REASONS as ROW_REASONS
    from proband.ehr.omop.accounts import accounts
    from proband.ehr.omop.births import impossible_births
    from proband.ehr.omop.concepts import describe
    from proband.ehr.omop.events import check_keys, convert, events
    from proband.ehr.omop.tables import sources

    raw = run.folder / _WORK / "events.parquet"
    try:
        tables = open_omop(source, run.folder / _WORK, workers)
        _require_asked(tables, config.more_tables, source)
        counted, examples = accounts(tables, sources(tables, config.more_tables))
        check_keys(tables)
        parts = convert(tables, config.more_tables)
        events(parts, tables["person"]).to_parquet(raw)
        run.counts["num_person"] = int(tables["person"].count().to_pyarrow().as_py())
        run.counts |= _counts_by_code(raw)
        run.counts["num_impossible_birth"] = impossible_births(tables["person"])
        run.counts |= {f"num_{name}": counts["num_rows"] for name, counts in counted.items()}
        for reason in (*ROW_REASONS, "num_unreadable_value"):
            run.counts[reason] = sum(counts.get(reason, 0) for counts in counted.values())
        shards = [Shard(raw, None)]
        codes, subjects = write_events(
            source, shards, None, config, run, workers=1, families=families, examples=examples
        )
        write_codes(describe(tables, codes), codes, run.folder)
    except duckdb.Error as error:
        raise unreadable(error, source) from None
    run.notes |= {"source": "OMOP", "tables": sorted(tables), "left_out": counted}
    return subjects


def _counts_by_code(raw: Path) -> dict[str, int]:
    """Events that are made beside those of each row: of person, and of the ends of visits."""
    code, of_person = pl.col("code"), (pl.col("code") == BIRTH) | pl.col("time").is_null()
    counted = pl.scan_parquet(raw).select(
        of_person.sum().alias("num_person_events"),
        code.str.starts_with(DISCHARGE).sum().alias("num_discharges"),
    )
    return counted.collect().row(0, named=True)


def _require_asked(tables: Mapping[str, object], asked: Sequence[str], source: Path) -> None:
    for name in asked:
        if name not in tables:
            found = f"tables {', '.join(sorted(tables))}"
            raise DataError(f"missing table {name}", where=source, found=found, remedy="do not ask for it")
