"""Opening a source: the OMOP tables that a folder, zip, DuckDB file or database holds, in lower case."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from proband.core.errors import ConfigError, DataError, ProbandError, first_line, tells_of_full_disk
from proband.core.registry import Registry
from proband.core.running.engine import available_cores
from proband.ehr.meds.dataset import DATA
from proband.ehr.omop.engines.address import Address
from proband.ehr.omop.engines.engine import Engine
from proband.ehr.omop.tablefiles import (
    EVENT_TABLES,
    KNOWN_TABLES,
    VOCABULARY_TABLES,
    files_below,
    find_tables,
    table_of,
)
from proband.ehr.omop.textfiles import LONGEST_LINE_BYTES, read_text

if TYPE_CHECKING:
    import ibis

DATABASE_SUFFIXES = (".duckdb", ".db")
Opener = Callable[[Address, tuple[str, ...], Path], Engine]
ENGINES: Registry[Opener] = Registry(
    "engine",
    {name: f"proband.ehr.omop.engines.{name}:open_{name}" for name in ("postgres", "spark", "bigquery")},
)
"""What opens an address: given it, the names of tables looked for, and a folder for work in progress."""

_MEMORY_MIB, _MEMORY_MIB_OF_THREAD = 1536, 256
"""What DuckDB may hold before it goes to disk: however large the tables are, there is room beside it."""
_MOST_UNPACKED_BYTES, _MOST_TIMES = 2**28, 100
"""Tables of text shrink 5 to 30 times; a zip bomb 1,000 times."""
_TOO_LONG = "Maximum line size"
_TELLING = ("Expected Number", "Value with unterm", _TOO_LONG)
"""How lines of DuckDB's complaints begin that say what is wrong with a line of CSV."""
_OPEN_ELSEWHERE = ("Could not set lock", "with a different configuration")
"""What DuckDB says of a file that another program, or this one, has opened for writing."""
_NOT_UTF_8 = "Invalid string encoding"
"""What DuckDB says of text in a Parquet file that is not UTF-8."""
_SQLITE = b"SQLite format 3"
"""First bytes of a file of SQLite (https://www.sqlite.org/fileformat.html)."""

_SUPPORTED = (
    "a folder or .zip of OMOP tables (Parquet or CSV), a .duckdb file, a MEDS folder, or an address "
    "postgres://, spark: or bigquery://"
)


def is_meds(source: Path) -> bool:
    """Whether ``source`` is a MEDS dataset: a folder whose ``data/`` holds Parquet files.

    Raises:
        DataError: ``source`` does not exist or is of no supported kind.
    """
    if not source.exists():
        raise DataError("no such source", where=source, expected=_SUPPORTED)
    if source.is_dir():
        return any((source / DATA).rglob("*.parquet")) and not _has_person(source)
    if source.suffix.lower() not in (".zip", *DATABASE_SUFFIXES):
        raise DataError("source of unknown kind", where=source, expected=_SUPPORTED)
    return False


def _has_person(folder: Path) -> bool:
    """Whether a table of persons lies in a folder or one deeper, alone or in parts."""
    files = (
        PurePosixPath(path.relative_to(folder))
        for depth in (1, 2, 3)
        for path in folder.glob("/".join("*" * depth))
    )
    return any((table := table_of(path)) is not None and table[0] == "person" for path in files)


def open_source(source: Path | Address, work: Path, threads: int | None = None) -> Engine:
    """The OMOP tables of a folder, zip, DuckDB file or database.

    Args:
        source: Path, or address of an engine.
        work: Folder for what must be unpacked or spilled to disk.
        threads: Threads of the database, where it runs here; default all cores.

    Raises:
        DataError: As of :func:`open_omop`; or a table may not be read.
        ConfigError: A database is out of reach, or what reads it is not installed.
    """
    if isinstance(source, Address):
        engine = ENGINES[source.engine](source, KNOWN_TABLES, work)
        with engine.closed_on_error():
            return replace(engine, tables=_checked(engine.tables, source))
    import duckdb

    def complaint(error: Exception) -> ProbandError | None:
        if not isinstance(error, duckdb.Error) or tells_of_full_disk(error):
            return None
        return unreadable(error, source)

    return Engine(open_omop(source, work, threads), complaint, fuse_selects=False)


def open_omop(source: Path, work: Path, threads: int | None = None) -> dict[str, ibis.Table]:
    """The OMOP tables of ``source``, by lower-case name, with lower-case columns.

    Args:
        source: Folder, .zip or DuckDB file.
        work: Folder for what must be unpacked or spilled to disk.
        threads: Threads of the database; default all cores.

    Raises:
        DataError: The source is unreadable, a table is there twice, or person or every event table lacks.
    """
    return _checked(_open(source, work, threads, KNOWN_TABLES), source)


def open_vocabulary(source: Path, work: Path) -> dict[str, ibis.Table]:
    """The tables of the OMOP vocabulary in ``source``, such as a download of OHDSI Athena.

    Args:
        source: Folder, .zip or DuckDB file.
        work: Folder for what must be unpacked or spilled to disk.

    Raises:
        DataError: The source is missing or unreadable, a table is there twice, or none is there.
    """
    if not os.path.exists(source):
        raise DataError("no such vocabulary", where=source, expected=f"tables {', '.join(VOCABULARY_TABLES)}")
    tables = _open(source, work, None, VOCABULARY_TABLES)
    kept = {
        name: _typed(table.rename(str.lower)) for name, table in tables.items() if name in VOCABULARY_TABLES
    }
    if not kept:
        expected = f"tables {', '.join(VOCABULARY_TABLES)}"
        raise DataError("no table of the vocabulary", where=source, expected=expected)
    return kept


def _open(source: Path, work: Path, threads: int | None, names: Collection[str]) -> dict[str, ibis.Table]:
    """Tables of a folder, zip or DuckDB file as they are."""
    import duckdb

    is_database = source.suffix.lower() in DATABASE_SUFFIXES and source.is_file()
    if is_database:
        _refuse_sqlite(source)
    try:
        connection = _connect(source if is_database else None, work, threads)
        if is_database:
            return _database_tables(connection, source)
        folder = _unzip(source, work / "unzipped", names) if source.is_file() else source
        return _file_tables(connection, _tables_in(folder, names))
    except duckdb.Error as error:
        raise unreadable(error, source) from None


def _refuse_sqlite(source: Path) -> None:
    with source.open("rb") as file:
        first = file.read(len(_SQLITE))
    if first == _SQLITE:
        remedy = "export its tables as Parquet or CSV"
        raise DataError("no DuckDB file", where=source, found="an SQLite database", remedy=remedy)


def _checked(tables: dict[str, ibis.Table], source: object) -> dict[str, ibis.Table]:
    """The tables with lower-case columns, if those that are needed are there."""
    missing = [] if "person" in tables else ["person"]
    missing += [] if set(tables) & set(EVENT_TABLES) else [f"one of {', '.join(EVENT_TABLES)}"]
    if missing:
        found = f"tables {', '.join(sorted(tables))}" if tables else "no OMOP table"
        raise DataError("missing table", where=source, found=found, expected=" and ".join(missing))
    return {name: _typed(table.rename(str.lower)) for name, table in tables.items()}


def _typed(table: ibis.Table) -> ibis.Table:
    """The table without columns of the null type, which writers give to what is empty throughout."""
    untyped = [name for name, kind in table.schema().items() if kind.is_null() or '"NULL"' in str(kind)]
    return table.drop(*untyped)


def _connect(database: Path | None, work: Path, threads: int | None) -> ibis.BaseBackend:
    import ibis

    threads = threads or available_cores()
    memory = f"{max(_MEMORY_MIB, threads * _MEMORY_MIB_OF_THREAD)}MiB"
    config = {"temp_directory": str(work / "spill"), "memory_limit": memory, "threads": threads}
    # No extension is fetched over the network because of what a file looks like.
    config |= {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    if database is None:
        connection = ibis.duckdb.connect(**config)
    else:
        connection = ibis.duckdb.connect(database, read_only=True, **config)
    # The database's own progress bar would go to standard output.
    connection.settings["enable_progress_bar"] = False
    return connection


def unreadable(error: Exception, where: object) -> ProbandError:
    """The database's complaint about its input, as one line that names the file where it is known."""
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        remedy = "free space on the disk of the output, or give fewer --workers"
        found = first_line(error).removeprefix("Out of Memory Error: ")
        return ConfigError(
            "memory and the disk for what does not fit are full", where=where, found=found, remedy=remedy
        )
    lines = str(error).strip().split("\n")
    if any(words in lines[0] for words in _OPEN_ELSEWHERE):
        remedy = "close it in the other program or notebook, or copy the file and name the copy"
        return DataError("DuckDB file is open elsewhere", where=where, found=lines[0], remedy=remedy)
    file = next((line.partition("=")[2].strip() for line in lines if line.strip().startswith("file = ")), "")
    known = [line.strip() for line in lines if line.startswith(_TELLING)]
    found = ". ".join([lines[0].removeprefix("Invalid Input Error: "), *known])
    remedy = "export the table again, as CSV with one kind of line end and quotes doubled within quotes"
    if _NOT_UTF_8 in lines[0]:
        remedy = "export the table again, with its text in UTF-8"
    elif any(line.startswith(_TOO_LONG) for line in known):
        remedy = (
            f"close quotes, or shorten or leave out long text: lines may have {LONGEST_LINE_BYTES:,} bytes"
        )
    elif not file:
        remedy = "export the table again"
    return DataError("unreadable OMOP source", where=file or where, found=found, remedy=remedy)


def _tables_in(folder: Path, names: Collection[str]) -> dict[str, list[Path]]:
    """Files of the named tables in a folder."""
    found = find_tables(files_below(folder), names, folder)
    return {name: [folder / path for path in paths] for name, paths in found.items()}


def _file_tables(connection: ibis.BaseBackend, files: dict[str, list[Path]]) -> dict[str, ibis.Table]:
    tables = {}
    for name, paths in files.items():
        if paths[0].name.lower().endswith(".parquet"):
            listed = [str(path) for path in paths]
            # Impala, Hive and ClickHouse write text without the mark that it is text.
            tables[name] = connection.read_parquet(
                listed, table_name=name, union_by_name=True, binary_as_string=True
            )
        else:
            # Text only: types are declared where a column is used, never guessed from the first rows.
            tables[name] = read_text(connection, name, paths)
    return tables


def _database_tables(connection: ibis.BaseBackend, source: Path) -> dict[str, ibis.Table]:
    listing = connection.table("tables", database="information_schema")
    listing = listing.filter(listing.table_catalog == connection.current_catalog)
    tables: dict[str, ibis.Table] = {}
    for row in listing.select("table_schema", "table_name").to_pyarrow().to_pylist():
        name = row["table_name"].lower()
        if name in KNOWN_TABLES:
            if name in tables:
                raise DataError(f"table {name} is there twice", where=source, remedy="keep one schema")
            tables[name] = connection.table(row["table_name"], database=row["table_schema"])
    return tables


def _members(archive: zipfile.ZipFile, names: Collection[str], source: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip that are named tables or parts of them.

    Raises:
        DataError: As of :func:`proband.ehr.omop.tablefiles.find_tables`.
    """
    entries = {_place(entry): entry for entry in archive.infolist() if not entry.is_dir()}
    found = find_tables(entries, names, source)
    return [entries[path] for paths in found.values() for path in paths]


def _place(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member is unpacked: below the folder, whatever its name says."""
    parts = entry.filename.replace("\\", "/").split("/")
    return PurePosixPath(*(part for part in parts if part not in ("", ".", "..")))


def _check_unpacked(members: Sequence[zipfile.ZipInfo], source: Path, work: Path) -> None:
    """Refuse a zip that would unpack to more than there is room for, or than tables do."""
    total, packed = (
        sum(getattr(entry, name) for entry in members) for name in ("file_size", "compress_size")
    )
    work.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(work).free
    if total > free:
        found = f"{total:,} bytes unpacked, {free:,} free"
        remedy = "free space, or unpack it elsewhere and give the folder"
        raise DataError("zip larger than the disk", where=source, found=found, remedy=remedy)
    if total > _MOST_UNPACKED_BYTES and total > _MOST_TIMES * packed:
        found = f"{total:,} bytes from {packed:,}"
        remedy = "if it is no zip bomb, unpack it and give the folder"
        raise DataError("zip unpacks to too much", where=source, found=found, remedy=remedy)


def _unzip(source: Path, folder: Path, names: Collection[str]) -> Path:
    try:
        with zipfile.ZipFile(source) as archive:
            members = _members(archive, names, source)
            _check_unpacked(members, source, folder.parent)
            for entry in members:
                archive.extract(entry, folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        found = f"{error.strerror}, {Path(error.filename or '').name}"
        raise DataError("unreadable zip", where=source, found=found, remedy="unpack it yourself") from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        remedy = "the zip is truncated or locked: copy it again or unpack it"
        raise DataError("unreadable zip", where=source, found=error, remedy=remedy) from None
    folder.mkdir(exist_ok=True)
    return folder
