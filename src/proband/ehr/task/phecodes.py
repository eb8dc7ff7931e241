"""Phecodes: groups of ICD codes, by a map that the user gives.

Maps of the PheWAS catalog, versions 1.2 and X, as they are downloaded: a text table with a row per ICD code,
its vocabulary (``Flag`` 9 or 10, ``vocabulary_id``, or the name of the column, ``ICD10CM``) and its phecode.
Wu et al. 2019, doi 10.2196/14325; Shuey et al. 2023, doi 10.1093/bioinformatics/btad655.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.running.progress import say
from proband.core.text.texttable import open_table

_ICD = {
    "icd": "",
    "icdcode": "",
    "icd9": "ICD9CM",
    "icd9cm": "ICD9CM",
    "icd10": "ICD10",
    "icd10cm": "ICD10CM",
}
"""Columns of ICD codes, and the vocabulary that the name tells."""
_CODE = "code"
"""Column of ICD codes in maps of R packages: with a column of vocabularies, and without one of the above."""
_OLDER = "phewascode"
"""Column of phecodes, phewas_code, in older maps of the R package."""
_VOCABULARY = ("flag", "vocabularyid", "vocabulary")
_KINDS = {"9": "ICD9CM", "10": "ICD10CM", "ICD9": "ICD9CM"} | {
    name: name for name in ("ICD9CM", "ICD10CM", "ICD10")
}
_EXPECTED = "columns phecode, ICD or code, and vocabulary_id or Flag"


@dataclass(frozen=True)
class PhecodeMap:
    """Which ICD codes make each phecode.

    Attributes:
        path: The file.
        rows: Phecode -> its own pairs of vocabulary and ICD code, as written, in order of the file.
    """

    path: Path
    rows: Mapping[str, tuple[tuple[str, str], ...]]

    def codes(
        self, wanted: Iterable[str | int | float], prefixes: Mapping[str, str] | None = None
    ) -> dict[str, list[str]]:
        """Codes of events for each phecode asked for, those of the phecodes below it included.

        250 includes 250.2, and that 250.21: maps list an ICD code with its most specific phecode, or with all
        of them ("unrolled").

        Args:
            wanted: Phecodes; numbers as YAML reads them are taken as written.
            prefixes: Vocabulary -> what stands before the code in events; default ``ICD10CM//`` and so on.

        Returns:
            Phecode -> codes, with the dot and without, in order of the file.

        Raises:
            ConfigError: The map has no such phecode, or no such vocabulary.
        """
        known = {vocabulary for rows in self.rows.values() for vocabulary, _ in rows}
        for vocabulary in prefixes or {}:
            if vocabulary not in known:
                raise ConfigError(
                    f"unknown vocabulary {vocabulary}", where=self.path, expected=", ".join(sorted(known))
                )
        below = self._below()
        found = {}
        for asked in wanted:
            phecode = str(asked)
            if phecode not in below:
                raise self._unknown(asked)
            pairs = dict.fromkeys(pair for one in below[phecode] for pair in self.rows[one])
            spelled = (spelling for pair in pairs for spelling in _spellings(*pair, prefixes or {}))
            found[phecode] = list(dict.fromkeys(spelled))
        return found

    def panel(self) -> dict[str, dict]:
        """Every phecode as an outcome of a task, which may be absent."""
        return {
            phecode: {"codes": codes, "may_be_absent": True}
            for phecode, codes in self.codes(self.rows).items()
        }

    def _below(self) -> dict[str, list[str]]:
        """Each phecode, and each that only stands above others -> itself and those below it in the map."""
        found: dict[str, list[str]] = {}
        for phecode in self.rows:
            for above in (phecode, *_above(phecode)):
                found.setdefault(above, []).append(phecode)
        return found

    def _unknown(self, asked: str | int | float) -> ConfigError:
        quoted = "" if isinstance(asked, str) else 'write it in quotes, since YAML reads 010 as 8: "010"'
        remedy = near_matches(str(asked), self._below()) or quoted
        return ConfigError(f"unknown phecode {asked}", where=self.path, remedy=remedy)


def _above(phecode: str) -> list[str]:
    """The phecodes that a phecode is a part of, nearest first.

    >>> _above("250.21"), _above("EM_202"), _above("008.5")
    (['250.2', '250'], [], ['008'])
    """
    whole, dot, part = phecode.partition(".")
    return [f"{whole}.{part[:size]}" for size in range(len(part) - 1, 0, -1)] + ([whole] if dot else [])


def _spellings(vocabulary: str, icd: str, prefixes: Mapping[str, str]) -> tuple[str, ...]:
    """A code of events with the dot and without."""
    prefix = prefixes.get(vocabulary, f"{vocabulary}//")
    return tuple(dict.fromkeys((f"{prefix}{icd}", f"{prefix}{icd.replace('.', '')}")))


def is_phecode_map(path: Path) -> bool:
    """Whether a table has a column of phecodes; False where it cannot be read."""
    try:
        _, table = open_table(path, "##", _wrong(path), lambda: _wrong(path)("no line"))
    except DataError:
        return False
    return "phecode" in map(_plain, table.columns)


def read_phecode_map(path: Path) -> PhecodeMap:
    """A map from ICD codes to phecodes: text, comma or tab, plain or gzip, UTF-8.

    Rows without a phecode or an ICD code are passed over, and counted in a line.

    Args:
        path: The file.

    Raises:
        ConfigError: It is missing.
        DataError: It is unreadable, lacks a column, or names another vocabulary than ICD-9-CM and ICD-10.
    """
    if not os.path.isfile(path):  # which takes a name too long for a file as none
        raise ConfigError("missing phecode map", where=path, remedy="name it relative to the task file")
    _, table = open_table(path, "##", _wrong(path), lambda: _wrong(path)("no line"))
    plain = {_plain(name): name for name in table.columns}
    kind = next((name for name in plain if name in _VOCABULARY), "")
    icd = [name for name in plain if name in _ICD] or [_CODE] * (bool(kind) and _CODE in plain)
    if "phecode" not in plain or not icd or not (kind or all(map(_ICD.get, icd))):
        raise _wrong(path)(", ".join(table.columns))
    frame = table.read([plain[name] for name in ("phecode", *icd, *([kind] if kind else []))], {})
    frame = frame.rename({name: key for key, name in plain.items() if name in frame.columns})
    rows: dict[str, dict[tuple[str, str], None]] = {}
    num_empty = 0
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        found = {name: row[name] for name in icd if row[name] is not None}
        num_empty += row["phecode"] is None or not found
        for name, code in found.items() if row["phecode"] is not None else ():
            # A table with several columns of ICD codes names the vocabulary of each.
            own = _ICD[name] if len(icd) > 1 or not kind else ""
            pair = own or _kind(row[kind], path, number), code.upper()
            rows.setdefault(row["phecode"], {})[pair] = None
    if num_empty:
        say(f"task: {num_empty:,} rows of {path.name} have no phecode or no ICD code and are passed over")
    if not rows:
        raise _wrong(path)("no row")
    return PhecodeMap(path, {phecode: tuple(pairs) for phecode, pairs in rows.items()})


def _plain(name: str) -> str:
    plain = re.sub("[^a-z0-9]", "", name.lower())
    return "phecode" if plain == _OLDER else plain


def _kind(said: str | None, path: Path, number: int) -> str:
    found = _KINDS.get(_plain((said or "").removesuffix(".0")).upper())  # pandas writes 9 as 9.0
    if found is None:
        raise DataError(
            "unknown vocabulary in a phecode map", where=f"{path} row {number}", found=said,
            expected="9, 10, ICD9CM, ICD10CM or ICD10",
        )  # fmt: skip
    return found


def _wrong(path: Path) -> Callable[[str], DataError]:
    return lambda found: DataError("unusable phecode map", where=path, found=found, expected=_EXPECTED)
