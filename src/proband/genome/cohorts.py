"""Source cohorts: in whose data each score was developed.

Where the people on whom a score is judged are among those whose data gave its weights (sample overlap), its
gain there is inflated, and nothing in the results shows it (Wray et al. 2013, doi:10.1038/nrg3457). The PGS
Catalog lists the samples behind each score, of the association study and of the tuning of the score, with
their cohorts.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proband.core.errors import ConfigError, DataError, first_line, first_names, near_matches
from proband.core.files.manifest import manifest_if_any
from proband.core.running.progress import say
from proband.core.text.texttable import READ_ERRORS, open_text
from proband.core.text.textvalues import clean_text

Samples = list[frozenset[str]]
"""Cohorts of each sample behind a score; an empty set for a sample of which none is named."""

_SCORE_COLUMNS = ("polygenic score (pgs) id", "pgs_id")
_COHORT_COLUMNS = ("cohort(s)", "cohorts")
_SEPARATORS = re.compile(r"[|;,]")
_NOT_NAMED = (
    "", "-", ".", "na", "n/a", "nr", "nan", "none", "null", "not reported", "unknown", "other", "others",
    "multiple", "various",
)  # fmt: skip
_CATALOG_ID = re.compile(r"PGS\d{6}(?!\d)")
_EXPECTED = "columns pgs_id and cohorts, or those of the PGS Catalog's score_development_samples.csv"


def read_cohorts(path: Path) -> dict[str, Samples]:
    """Cohorts of the samples that each score was developed in.

    Args:
        path: ``pgs_all_metadata_score_development_samples.csv`` of the PGS Catalog, or of one score; or a
            table of ``pgs_id, cohorts``, a row per sample, with commas or tabs between columns and ``|`` or
            ``;`` between cohorts (or ``,`` in quotes). Empty, NR, NA, other, multiple and the like name none.

    Raises:
        DataError: The file is unreadable, lacks a column, or has a row without a score or with more values
            than columns.
    """
    try:
        lines = list(_rows(path))
    except READ_ERRORS as error:
        raise DataError(
            "unreadable table of source cohorts", where=path, found=first_line(error), expected=_EXPECTED
        ) from None
    header = [name.lower() for name in lines[0][1]] if lines else []
    score, cohort = (_place(header, names) for names in (_SCORE_COLUMNS, _COHORT_COLUMNS))
    if score is None or cohort is None:
        found = first_names(lines[0][1]) if lines else "no row"
        raise DataError(
            "no table of source cohorts", where=path, found=found, expected=_EXPECTED,
            remedy="take it from the PGS Catalog's metadata",
        )  # fmt: skip
    known: dict[str, Samples] = {}
    for line, cells in lines[1:]:
        if len(cells) > len(header):
            raise DataError(
                "a row has more values than the table has columns", where=path,
                found=f"{len(cells)} in line {line}", expected=f"{len(header)} or fewer",
                remedy="write several cohorts with | between, or in quotes",
            )  # fmt: skip
        cells += [""] * (len(header) - len(cells))
        if not cells[score]:
            remedy = "name it, or drop the row"
            raise DataError("a row without a score", where=path, found=f"line {line}", remedy=remedy)
        known.setdefault(cells[score], []).append(_cohorts(cells[cohort]))
    return known


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line and values of every row that has any; line breaks in quotes are blanks."""
    with open_text(path) as file:
        first = next((line for line in file if line.strip()), "")
        reader = csv.reader(
            itertools.chain([first], file), delimiter="\t" if "\t" in first else ",", skipinitialspace=True
        )
        for row in reader:
            cells = [clean_text(" ".join(cell.split())) for cell in row]
            if any(cells):
                yield reader.line_num, cells


def _place(header: Sequence[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _cohorts(text: str) -> frozenset[str]:
    """The cohorts of one cell.

    >>> sorted(_cohorts("UKB|FinnGen; NR"))
    ['FinnGen', 'UKB']
    """
    names = (name.strip() for name in _SEPARATORS.split(text))
    return frozenset(name for name in names if name.lower() not in _NOT_NAMED)


def is_developed_in(samples: Samples, own: Sequence[str]) -> bool | None:
    """Whether a score was developed in one of these cohorts, in any case of letters; None if not known, as
    where no cohort is given.

    >>> ukb, other, unnamed = frozenset({"UKB"}), frozenset({"MVP"}), frozenset()
    >>> [is_developed_in(one, ["ukb"]) for one in ([ukb, unnamed], [other], [other, unnamed], [])]
    [True, False, None, None]
    """
    if not own:
        return None
    wanted = {name.lower() for name in own}
    if any(name.lower() in wanted for cohorts in samples for name in cohorts):
        return True
    return False if samples and all(samples) else None


@dataclass(frozen=True)
class SourceCohorts:
    """Which scores were developed in which cohorts, and the cohort whose people are scored.

    Attributes:
        samples: pgs_id -> cohorts of the samples it was developed in, as of :func:`read_cohorts`.
        own: The cohorts whose people are scored, as the file names them, in any case of letters.
        file: Name of the file.
    """

    samples: Mapping[str, Samples]
    own: tuple[str, ...]
    file: str

    @classmethod
    def read(cls, path: Path | None, own: Sequence[str]) -> SourceCohorts | None:
        """Read the file, if there is one; say which of its cohorts are called much like the own one.

        Args:
            path: As of :func:`read_cohorts`.
            own: The cohorts whose people are scored.

        Raises:
            ConfigError: A cohort is given without a file, or the file names no such cohort.
            DataError: As of :func:`read_cohorts`.
        """
        if path is not None:
            samples = read_cohorts(path)
            named = {name for each in samples.values() for cohorts in each for name in cohorts}
            _check_own(own, named, path)
            if not own:
                say("genome: without --own-cohort no score is marked as developed in it")
            return cls(samples, tuple(own), path.name)
        if own:
            raise ConfigError(
                "--own-cohort without the cohorts of scores", found=own[0],
                remedy="give --development, such as the PGS Catalog's score_development_samples.csv",
            )  # fmt: skip
        return None

    def mark(self, described: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """What is known of each score, with its source cohorts.

        Args:
            described: pgs_id -> its entry in scores.json.

        Returns:
            The entries with ``cohorts``, in alphabetical order, null where the file names none, and
            ``own_cohort``: true, false, or null where it is not known. A score of the file is found by its
            name, else by the PGS Catalog's identifier at the beginning of the name.
        """
        marked, absent = {}, 0
        for name, entry in described.items():
            samples = self._of(name)
            absent += not samples
            cohorts, inside = sorted(set().union(*samples)), is_developed_in(samples, self.own)
            marked[name] = dict(entry) | {"cohorts": cohorts or None, "own_cohort": inside}
        if absent:
            say(f"genome: {self.file} has no row of {absent} of {len(described)} scores")
        return marked

    def _of(self, name: str) -> Samples:
        catalog = _CATALOG_ID.match(name)
        return self.samples.get(name) or self.samples.get(catalog[0] if catalog else "") or []


def _check_own(own: Sequence[str], named: set[str], path: Path) -> None:
    """Refuse a cohort that no sample of the file is of, which would pass every score; name those that are
    called much like it."""
    lower = {name.lower() for name in named}
    for name in own:
        if name.lower() not in lower:
            raise ConfigError(
                "no score was developed in this cohort", where=path, found=f"--own-cohort {name}",
                expected=f"a cohort of the file ({first_names(sorted(named)) or 'it names none'})",
                remedy=near_matches(name, named) or "write it as the file does",
            )  # fmt: skip
    given = {name.lower() for name in own}
    alike = sorted(
        one for one in named if one.lower() not in given and any(name in one.lower() for name in given)
    )
    if alike:
        remedy = "if they are the same people, add them as --own-cohort"
        say(f"genome: {path.name} also names {first_names(alike)}: {remedy}")


def cohort_counts(described: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Scores developed in the own cohort, and those of which it is not known; empty if nobody looked."""
    flags = [entry["own_cohort"] for entry in described.values() if "own_cohort" in entry]
    if not flags:
        return {}
    return {
        "num_scores_own_cohort": flags.count(True),
        "num_scores_cohort_unknown": flags.count(None),
    }


def sample_overlap(genome: Path) -> dict[str, Any]:
    """What the manifest of a genome folder tells of the source cohorts of its scores.

    Args:
        genome: The folder.

    Returns:
        ``own_cohort``, ``num_scores``, ``num_scores_own_cohort``, ``num_scores_cohort_unknown`` and, if any
        were left out for it, ``num_scores_cohort_left_out``; empty where no own cohort was given.
    """
    manifest = manifest_if_any(genome)
    own, counts = manifest.get("config", {}).get("own_cohort"), manifest.get("counts", {})
    if not own or "num_scores_own_cohort" not in counts:
        return {}
    names = ("num_scores", "num_scores_own_cohort", "num_scores_cohort_unknown", "num_scores_cohort_left_out")
    return {"own_cohort": list(own)} | {name: counts[name] for name in names if name in counts}


def say_cohorts(described: Mapping[str, Mapping[str, Any]], own: Sequence[str]) -> None:
    """Say how many scores were developed in the cohort scored, and what to do about it."""
    counts = cohort_counts(described)
    if not own or not counts:
        return
    inside, unknown = counts["num_scores_own_cohort"], counts["num_scores_cohort_unknown"]
    text = f"genome: scores developed in {', '.join(own)}: {inside} of {len(described)}; not known: {unknown}"
    if inside:
        text += (
            ". Their gain may be inflated by sample overlap; sensitivity analysis without them: "
            "proband genome --from-genome GENOME OUT --leave-out own"
        )
    say(text)
