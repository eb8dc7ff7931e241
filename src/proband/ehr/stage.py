"""``proband ehr``: a source of records -> checked MEDS shards."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from proband.core.errors import DataError
from proband.core.files.provenance import StageRun, config_dict, is_finished, stage_output
from proband.core.files.resume import RUN, clear_marks, resumable
from proband.core.files.tables import read_parquet
from proband.core.running.progress import say
from proband.ehr.config import EhrConfig
from proband.ehr.meds.dataset import BIRTH, CODES, DATA, DEATH, Shard, list_shards
from proband.ehr.meds.kinship import Families, family_counts, read_families
from proband.ehr.meds.remote import fetch, is_remote
from proband.ehr.meds.splits import folder_splits, read_splits
from proband.ehr.meds.write import conform_codes, write_codes, write_events
from proband.ehr.omop.engines.address import Address, is_address, parse_address
from proband.ehr.omop.export import STARTED, counts_by_code, export, last_subject, parts_of
from proband.ehr.omop.sources import is_meds, open_source

if TYPE_CHECKING:
    from proband.ehr.omop.tables import Source

_WORK = ".work"
_EXPORTED_BY = ("source", "more_tables", "rows_per_shard")
"""Settings that decide what an export writes; an interrupted one goes on whatever the others are."""


def ehr(
    source: Path | str,
    out: Path,
    *,
    config: EhrConfig | None = None,
    kinship: Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Convert records to MEDS, check them and draw the splits.

    Args:
        source: Folder or .zip of OMOP CDM tables (Parquet or CSV), DuckDB file of them, MEDS folder, or
            address of a database of OMOP tables (:mod:`proband.ehr.omop.engines.address`) or of a MEDS
            dataset in an object store (:mod:`proband.ehr.meds.remote`).
        out: Output folder.
        config: Settings.
        kinship: Table of related pairs, see :mod:`proband.ehr.meds.kinship`; relatives then share a split.
        workers: Processes; default one per core.
        overwrite: Make the output anew.

    Raises:
        DataError: The source is not what it should be.
        ConfigError: A setting is not usable, a database is out of reach, or ``out`` is in use.
    """
    records, remote = _records(source)
    out, config = Path(out), config or EhrConfig()
    if kinship is None:
        config = config.model_copy(update={"kinship_threshold": None})
    settings = config_dict(config)
    inputs = [] if kinship is None else [Path(kinship)]
    if isinstance(records, Address) or remote:
        settings["source"] = remote or str(records)
    else:
        inputs.insert(0, records)
    if is_finished(out, "ehr", settings, overwrite, inputs):
        return
    of_meds = bool(remote) or (isinstance(records, Path) and is_meds(records))
    families = _families(kinship, config)
    with _output(records, out, settings, inputs, config.seed, overwrite) as run:
        if remote:
            records = fetch(remote, run.folder / _WORK / "source")
        convert = _from_meds if of_meds else _from_omop
        subjects = convert(records, config, run, workers, families)
        if families is not None:
            run.counts |= family_counts(families, subjects, inputs[-1])
        clear_marks(run.folder)
        shutil.rmtree(run.folder / _WORK)


def _records(source: Path | str) -> tuple[Path | Address, str]:
    """The path or the address of a database, and the address of a store, empty where it is none."""
    if is_address(source):
        return parse_address(str(source)), ""
    return Path(source), str(source) if is_remote(source) else ""


@contextlib.contextmanager
def _output(
    source: Path | Address,
    out: Path,
    settings: Mapping[str, Any],
    inputs: Collection[Path],
    seed: int,
    overwrite: bool,
) -> Iterator[StageRun]:
    """The output at work; that of a database outlives an interruption, once its export has begun."""
    with contextlib.ExitStack() as stack:
        work = None
        if isinstance(source, Address):
            free = set(settings) - set(_EXPORTED_BY)
            state = str(STARTED)
            held = resumable(out, "ehr", settings, inputs=inputs, overwrite=overwrite, state=state, free=free)
            work = stack.enter_context(held)
            for item in work.iterdir():
                if item.name not in (_WORK, RUN):
                    shutil.rmtree(item)
        output = stage_output(
            out, stage="ehr", config=settings, inputs=inputs, seed=seed, work=work, overwrite=overwrite
        )
        run = stack.enter_context(output)
        (run.folder / _WORK).mkdir(exist_ok=True)
        yield run


def _families(kinship: Path | None, config: EhrConfig) -> Families | None:
    """Who is related to whom; None without a table."""
    if kinship is None or config.kinship_threshold is None:
        return None
    return read_families(Path(kinship), config.kinship_threshold)


def _from_meds(
    source: Any, config: EhrConfig, run: StageRun, workers: int | None, families: Families | None
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
    source: Path | Address, config: EhrConfig, run: StageRun, workers: int | None, families: Families | None
) -> pl.DataFrame:
    from proband.ehr.omop.accounts import MENDED, REASONS, REVERSED
    from proband.ehr.omop.births import mended_births
    from proband.ehr.omop.concepts import concept_names, describe
    from proband.ehr.omop.events import table_of_deaths, without_empty_deaths
    from proband.ehr.omop.tables import sources
    from proband.ehr.omop.typed import typed

    work = run.folder / _WORK
    engine = open_source(source, work, workers)
    with engine.at_work() as tables:
        _require_asked(tables, config.more_tables, source)
        lacking = "table death is empty" if "death" in tables else "no table death"
        tables = without_empty_deaths(tables)
        declared = sources(tables, config.more_tables)
        tables = typed(tables, declared, work / "typed")
        counted, examples, shards = _export(tables, declared, config, work)
        run.counts["num_person"] = int(tables["person"].count().to_pyarrow().as_py())
        of_person = (BIRTH, DEATH) if table_of_deaths(tables) == "person" else (BIRTH,)
        run.counts |= counts_by_code(shards, of_person) | mended_births(tables["person"])
        if DEATH in of_person:
            num = run.counts["num_deaths"]
            say(f"ehr: {lacking}; {num:,} deaths are taken from person.death_datetime")
        run.counts |= {f"num_{name}": counts["num_rows"] for name, counts in counted.items()}
        for reason in (*REASONS, REVERSED, *MENDED):
            run.counts[reason] = sum(counts.get(reason, 0) for counts in counted.values())
        codes, subjects = write_events(source, shards, None, config, run, workers, families, examples)
        write_codes(describe(tables, codes), codes, run.folder)
        if concept_names(tables) is None:
            say(
                "ehr: no table concept: codes are OMOP's numbers, without names or parents, and a task that "
                "names codes of vocabularies selects none; remedy: add the table concept"
            )
    run.notes |= {"source": "OMOP", "tables": sorted(tables), "left_out": counted} | engine.about
    return subjects


def _export(
    tables: Mapping[str, Any], declared: Sequence[Source], config: EhrConfig, work: Path
) -> tuple[dict[str, dict[str, int]], dict[str, str], list[Shard]]:
    """Check the tables and stream their events to files; also what became of each table's rows."""
    from proband.ehr.omop.accounts import accounts
    from proband.ehr.omop.engines.stream import spilled
    from proband.ehr.omop.events import check_keys, convert, events, in_order

    counted, examples = accounts(tables, declared)
    check_keys(tables)
    parts = convert(tables, config.more_tables)
    finished = parts_of(work, counted)
    rows = spilled(events(parts, tables["person"], after=last_subject(finished)), work / "unsorted.parquet")
    return counted, examples, export(in_order(rows), work, finished, config.rows_per_shard)


def _require_asked(tables: Mapping[str, object], asked: Sequence[str], source: object) -> None:
    for name in asked:
        if name not in tables:
            found = f"tables {', '.join(sorted(tables))}"
            raise DataError(f"missing table {name}", where=source, found=found, remedy="do not ask for it")
