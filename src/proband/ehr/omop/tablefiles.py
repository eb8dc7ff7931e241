"""Which files of a folder or zip are OMOP tables, and which would be lost.

A table is a file of its name, or the files below a folder of its name (parts), at most one folder deep. Any
other file of data whose name or folder holds the name of a table is refused: its rows would be missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from proband.core.errors import DataError, first_names

TABLE_SUFFIXES = (
    ".parquet",
    *(f"{kind}{packed}" for kind in (".csv", ".tsv", ".txt") for packed in ("", ".gz")),
)
EVENT_TABLES = (
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "measurement",
    "observation",
    "visit_occurrence",
)
ASKED_TABLES = ("visit_detail", "drug_era", "condition_era")
"""Tables that repeat others in another form, and are read only where they are asked for."""

VOCABULARY_TABLES = ("concept", "concept_ancestor", "concept_relationship")
RECORD_TABLES = ("person", "death", "observation_period", *EVENT_TABLES)
KNOWN_TABLES = (*RECORD_TABLES, *ASKED_TABLES, *VOCABULARY_TABLES)

_OTHER_TABLES = re.compile(
    "attribute_definition|care_site|cdm_source|cohort(_attribute|_definition)?|concept_(class|cpt4|synonym)|cost"
    "|(condition|dose|drug)_era|device_exposure|domain|drug_strength|episode(_event)?|fact_relationship"
    "|location(_history)?|metadata|note(_nlp)?|payer_plan_period|provider|relationship|source_to_concept_map"
    "|specimen|survey_conduct|visit_detail|vocabulary"
)
"""Tables of the CDM and of OHDSI Athena that are not needed: their files are passed over."""

_NO_DATA = re.compile(
    "[.](md|rst|pdf|html?|docx|pptx|png|jpe?g|svg|log|sql|ddl|py|ipynb|r|rmd|sh|bat|ya?ml|toml|ini|md5|sha[0-9]+|crc"
    "|asc|sig)$"
)
_NO_DATA_WORDS = re.compile("readme|licen[cs]e|changelog|manifest|checksum|schema")
_MEANT_FOR_MACS = "__MACOSX"


def find_tables(
    files: Iterable[PurePosixPath], names: Collection[str], where: object
) -> dict[str, list[PurePosixPath]]:
    """The files of each named table, in order.

    Args:
        files: Relative to the folder or zip.
        names: Tables wanted.
        where: What messages call the source.

    Raises:
        DataError: A table is there twice, or a file would be lost.
    """
    seen = [path for path in sorted(files) if not _is_hidden(path)]
    placed = [(path, table_of(path)) for path in seen]
    found: dict[str, list[PurePosixPath]] = {}
    places: dict[str, set[PurePosixPath]] = {}
    for path, table in placed:
        if table is not None and table[0] in names:
            found.setdefault(table[0], []).append(path)
            places.setdefault(table[0], set()).add(table[1])
    for name, several in places.items():
        if len(several) > 1:
            listed = ", ".join(map(str, sorted(several)))
            raise DataError(f"table {name} is there twice", where=where, found=listed, remedy="keep one")
    wanted = {name for name in names if name in RECORD_TABLES}
    wanted |= {name for name in names if name in VOCABULARY_TABLES and name not in found}
    _refuse_lost(placed, wanted, where)
    return found


def table_of(path: PurePosixPath) -> tuple[str, PurePosixPath] | None:
    """The table that a file is or is a part of, and the file or folder that is the table.

    >>> table_of(PurePosixPath("cdm/measurement/year=2005/part-0.parquet"))
    ('measurement', PurePosixPath('cdm/measurement'))
    >>> table_of(PurePosixPath("measurement_1.csv")) is None
    True
    """
    if not path.name.lower().endswith(TABLE_SUFFIXES) or _NO_DATA_WORDS.search(path.name.lower()):
        return None
    for place in [*list(path.parents)[-2::-1], path][:2]:
        if _stem(place) in KNOWN_TABLES:
            return _stem(place), place
    return None


def files_below(folder: Path) -> list[PurePosixPath]:
    """All files below a folder, relative to it; folders that are links are followed, each once."""
    found, entered = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name != _MEANT_FOR_MACS]
        found += [PurePosixPath(os.path.relpath(os.path.join(root, name), folder)) for name in names]
    return found


def _stem(path: PurePosixPath) -> str:
    return path.name.lower().split(".")[0]


def _is_hidden(path: PurePosixPath) -> bool:
    """Whether a file is no table's whatever its name is: of a system, or of a writer's own notes."""
    table = next(
        (i for i, part in enumerate(path.parts[:-1]) if part.lower() in KNOWN_TABLES), len(path.parts)
    )
    notes = any(part.startswith("_") and "=" not in part for part in (*path.parts[table:-1], path.name))
    return notes or _MEANT_FOR_MACS in path.parts or any(part.startswith(".") for part in path.parts)


def _held_name(name: str, wanted: Collection[str]) -> str | None:
    """The longest name of a wanted table within a name of a file or folder.

    >>> _held_name("omop_Observation-Period2.zip", ["observation", "observation_period"])
    'observation_period'
    """
    for table in sorted(wanted, key=lambda one: (-len(one), one)):
        spelled = table.replace("_", "[-_. ]?")
        if re.search(rf"(?<![a-z]){spelled}s?(?![a-z])", name.lower()):
            return table
    return None


def _lost_to(
    path: PurePosixPath, of_tables: Collection[PurePosixPath], wanted: Collection[str]
) -> str | None:
    """The wanted table whose rows an unread file may hold; None where it is harmless.

    Args:
        path: The file.
        of_tables: Folders in which whole tables lie: what else lies there is judged by its own name.
        wanted: Tables wanted.
    """
    places = [path, *(parent for parent in list(path.parents)[:-1] if parent not in of_tables)]
    if _NO_DATA.search(path.name.lower()) or _NO_DATA_WORDS.search(path.name.lower()):
        return None
    if any(_OTHER_TABLES.fullmatch(_stem(place)) for place in places):
        return None
    return next((held for place in places if (held := _held_name(place.name, wanted))), None)


def _refuse_lost(
    placed: Iterable[tuple[PurePosixPath, tuple[str, PurePosixPath] | None]],
    wanted: Collection[str],
    where: object,
) -> None:
    placed = list(placed)
    of_tables = {path.parent for path, table in placed if table is not None and table[1] == path}
    unread = [path for path, table in placed if table is None]
    lost = {path: held for path in unread if (held := _lost_to(path, of_tables, wanted))}
    if not lost:
        return
    table = next(iter(lost.values()))
    raise DataError(
        f"tables that would not be read ({', '.join(sorted(set(lost.values())))})",
        where=where,
        found=first_names([str(path) for path in lost]),
        expected=f"{table}.csv, .parquet, .tsv, .txt or a folder {table}/ of parts, one folder deep at most",
        remedy="rename, unpack or move up these files; move what is no table elsewhere",
    )
