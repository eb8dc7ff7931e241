from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import duckdb
import ibis
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.ehr.omop import sources
from proband.ehr.omop.sources import is_meds, open_omop, open_source


def opened(source: Path, tmp_path: Path) -> dict[str, int]:
    tables = open_omop(source, tmp_path / "work")
    return {name: int(table.count().to_pyarrow().as_py()) for name, table in tables.items()}


@pytest.fixture
def parquet(tables: dict, omop: Callable) -> Path:
    return omop(tables)


@pytest.fixture
def sizes(tables: dict) -> dict[str, int]:
    return {name: len(rows) for name, rows in tables.items()}


def test_names_in_any_case_one_folder_deep(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    deeper = tmp_path / "export" / "CDM"
    deeper.mkdir(parents=True)
    for path in parquet.iterdir():
        path.rename(deeper / path.name.upper())
    (deeper / "notes.txt").write_text("")
    (deeper / "cost.parquet").write_text("not read")
    assert opened(tmp_path / "export", tmp_path) == sizes


def test_a_zip_as_macs_make_it(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    source = tmp_path / "cdm.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for path in parquet.iterdir():
            archive.write(path, f"cdm/{path.name}")
            archive.writestr(f"__MACOSX/cdm/._{path.name}", b"junk")
            archive.writestr(f"__MACOSX/cdm/{path.name}", b"junk")
    assert opened(source, tmp_path) == sizes


def test_a_table_in_parts(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    frame = pl.read_parquet(parquet / "measurement.parquet")
    (parquet / "measurement.parquet").unlink()
    (parquet / "measurement").mkdir()
    for number in range(frame.height):
        frame[number : number + 1].write_parquet(parquet / "measurement" / f"part-{number}.snappy.parquet")
    (parquet / "measurement" / "_SUCCESS").write_text("")
    assert opened(parquet, tmp_path) == sizes


def test_tab_separated_and_compressed_csv(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    import gzip

    folder = tmp_path / "csv"
    folder.mkdir()
    for path in parquet.iterdir():
        text = pl.read_parquet(path).write_csv(separator="\t")
        if path.stem == "concept":
            (folder / "CONCEPT.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{path.stem}.csv").write_text(text)
    assert opened(folder, tmp_path) == sizes


def test_text_and_nested_parts_are_tables_too(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    frame = pl.read_parquet(parquet / "measurement.parquet")
    (parquet / "measurement.parquet").unlink()
    for number, year in enumerate((2005, 2006)):
        part = parquet / "cdm" / "measurement" / f"year={year}" / "part-0.parquet"
        part.parent.mkdir(parents=True)
        frame[number : number + 1].write_parquet(part)
    for name, suffix in (("death", "txt"), ("observation", "tsv")):
        path = parquet / f"{name}.parquet"
        path.with_suffix(f".{suffix}").write_text(pl.read_parquet(path).write_csv(separator="\t"))
        path.unlink()
    assert opened(parquet, tmp_path) == sizes
    source = tmp_path / "cdm.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for path in parquet.rglob("*.*"):
            archive.write(path, path.relative_to(parquet))
    assert opened(source, tmp_path) == sizes


LOST = {
    "measurement": (
        *("measurement_1.csv", "omop_measurement.csv", "Measurements 2005.parquet", "measurement.csv.bz2"),
        *("measurement.zip", "a/b/measurement.csv", "measurement/part-00000", "measurement_2005/0.parquet"),
        "measurement-000000000000.json",
    ),
    "drug_exposure": ("drug_exposure_old.csv", "DrugExposure.xlsx"),
    "observation_period": ("observation_period_2.csv",),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("table", "name"), [(table, name) for table, all in LOST.items() for name in all])
def test_a_file_of_a_table_that_would_not_be_read_is_refused(
    parquet: Path, tmp_path: Path, table: str, name: str, zipped: bool
) -> None:
    path = source = parquet
    path = parquet / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"person_id\n1\n")
    if zipped:
        source = tmp_path / "cdm.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for one in (one for one in parquet.rglob("*") if one.is_file()):
                archive.write(one, one.relative_to(parquet))
    said = rf"would not be read \({table}\); in .*; found {name}; expected {table}.csv, .*; remedy: rename"
    with pytest.raises(DataError, match=said) as caught:
        opened(source, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "work").rglob("*.csv"))


def test_files_that_are_no_tables_are_passed_over(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    names = ("README.txt", "person_readme.txt", "measurement.md", "person.sql", "death.csv.md5", "notes.csv")
    cdm = ("concept_class.csv", "drug_strength.csv", "concept_cpt4.csv", "condition_era.csv.bz2", "note.zip")
    others = (
        "concept_sets.csv",
        "_measurement_old.csv",
        ".measurement.csv",
        "cost/death_costs.csv",
        "provider",
    )
    for name in (*names, *cdm, *others):
        (parquet / name).parent.mkdir(exist_ok=True)
        (parquet / name).write_text("a\n1\n")
    assert opened(parquet, tmp_path) == sizes
    (parquet / "concept.parquet").rename(parquet / "concept_1.parquet")
    with pytest.raises(
        DataError, match=r"not be read \(concept\).*found concept_1.parquet, concept_sets.csv;"
    ):
        opened(parquet, tmp_path)


def test_schemas_of_a_database(tables: dict, omop: Callable, sizes: dict, tmp_path: Path) -> None:
    import duckdb

    source = omop(tables, "duckdb")
    with duckdb.connect(str(source)) as connection:
        connection.execute("create schema omop54")
        connection.execute("create table omop54.DEATH as select * from death")
        connection.execute("drop table main.death")
    renamed = source.rename(source.with_suffix(".db"))
    assert opened(renamed, tmp_path) == sizes
    with duckdb.connect(str(renamed)) as connection:
        connection.execute("create table main.death as select * from omop54.death")
    with pytest.raises(DataError, match="table death is there twice"):
        opened(renamed, tmp_path)


def test_a_table_twice(parquet: Path, tmp_path: Path) -> None:
    (parquet / "person.csv").write_text("person_id\n1\n")
    with pytest.raises(DataError, match=r"table person is there twice; .*found person.csv, person.parquet"):
        opened(parquet, tmp_path)


def test_missing_tables(parquet: Path, tmp_path: Path, sizes: dict) -> None:
    (parquet / "person.parquet").unlink()
    with pytest.raises(DataError, match=r"missing table; .*found tables concept, .*; expected person$"):
        opened(parquet, tmp_path)
    for path in parquet.iterdir():
        if path.stem not in ("concept", "death"):
            path.unlink()
    with pytest.raises(DataError, match="expected person and one of condition_occurrence, "):
        opened(parquet, tmp_path)
    for path in parquet.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="found no OMOP table"):
        opened(parquet, tmp_path)


@pytest.mark.parametrize("name", ["person.parquet", "measurement.parquet"])
def test_a_truncated_table(parquet: Path, tmp_path: Path, name: str) -> None:
    path = parquet / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="unreadable OMOP source"):
        opened(parquet, tmp_path)


@pytest.mark.parametrize("suffix", [".zip", ".duckdb"])
def test_a_source_that_is_junk(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"source{suffix}"
    source.write_bytes(b"junk" * 5000)
    with pytest.raises(DataError, match="unreadable"):
        opened(source, tmp_path)


def test_a_file_of_sqlite_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    import sqlite3

    source = tmp_path / "cdm.db"
    with sqlite3.connect(source) as connection:
        connection.execute("create table person (person_id integer)")
    with pytest.raises(
        DataError, match=r"no DuckDB file; in .*cdm.db; found an SQLite database; remedy: export"
    ):
        opened(source, tmp_path)


def test_no_extension_is_fetched(tmp_path: Path) -> None:
    connection = sources._connect(None, tmp_path, 1)
    for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
        assert connection.con.sql(f"select current_setting('{name}')").fetchall() == [(False,)]


def test_kinds_of_sources(tmp_path: Path, parquet: Path, events: Callable, meds: Callable) -> None:
    assert not is_meds(parquet)
    assert is_meds(meds({"train/0": events((1, None, "A"))}))
    with pytest.raises(DataError, match=r"no such source; .*expected a folder or .zip"):
        is_meds(tmp_path / "none")
    (tmp_path / "x.xlsx").write_text("")
    with pytest.raises(DataError, match="source of unknown kind"):
        is_meds(tmp_path / "x.xlsx")


def test_only_tables_of_the_cdm_leave_a_zip(parquet: Path, sizes: dict, tmp_path: Path) -> None:
    source = tmp_path / "cdm.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for path in parquet.iterdir():
            archive.write(path, f"cdm/{path.name}")
        for name in ("notes.csv", "../../evil.csv", "/etc/passwd.csv", f"{'x' * 300}.csv"):
            archive.writestr(name, b"a\n1\n")
    assert opened(source, tmp_path) == sizes
    found = {path.name for path in (tmp_path / "work").rglob("*.csv")}
    assert not found
    assert not (tmp_path / "evil.csv").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "bomb.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.csv", b"0" * 2**20)
    monkeypatch.setattr(sources, "_MOST_UNPACKED_BYTES", 2**19)
    with pytest.raises(DataError, match=r"unpacks to too much.*found 1,048,576 bytes from.*remedy"):
        opened(source, tmp_path)
    monkeypatch.setattr(sources.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"larger than the disk.*10 free"):
        opened(source, tmp_path)


def test_a_name_too_long_for_the_disk_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "long.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(f"person/{'x' * 300}.csv", b"person_id\n1\n")
    with pytest.raises(DataError, match=r"unreadable zip.*File name too long"):
        opened(source, tmp_path)


def test_an_option_of_ibis_is_as_it_was_after_the_work(parquet: Path, tmp_path: Path) -> None:
    engine = open_source(parquet, tmp_path / "work")
    with engine.at_work():
        assert not ibis.options.sql.fuse_selects
    assert ibis.options.sql.fuse_selects


def test_a_full_disk_is_not_laid_to_the_source(parquet: Path, tmp_path: Path) -> None:
    engine = open_source(parquet, tmp_path / "work")
    full = duckdb.IOException('IO Error: Could not write file "unsorted.parquet": No space left on device')
    with pytest.raises(duckdb.IOException, match="No space left"), engine.at_work():
        raise full
    engine = open_source(parquet, tmp_path / "work")
    with pytest.raises(DataError, match="unreadable OMOP source"), engine.at_work():
        raise duckdb.IOException("IO Error: could not read 12 bytes")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_database_that_is_open_for_writing_is_to_be_closed_or_copied(
    tables: dict, omop: Callable, tmp_path: Path, elsewhere: bool
) -> None:
    path = omop(tables, "duckdb")
    names = "from pathlib import Path\nfrom proband.ehr.omop.sources import open_omop\n"
    read = f"{names}open_omop(Path({str(path)!r}), Path({str(tmp_path)!r}))"
    with duckdb.connect(str(path)):
        if elsewhere:
            done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True)
            said = done.stderr.strip().splitlines()[-1]
        else:
            with pytest.raises(DataError) as caught:
                open_omop(path, tmp_path)
            said = str(caught.value)
    assert "DuckDB file is open elsewhere; in " in said
    assert "remedy: close it in the other program or notebook, or copy the file" in said
