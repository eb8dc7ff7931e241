"""Data sets of several files, such as one per chromosome: find them by a pattern and join them.

Every file must hold the same samples in the same order, or a list of samples to keep gives them one
(:mod:`~proband.genome.genotypes.keep`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.genome.genotypes.alleles import chromosome_numbers
from proband.genome.genotypes.builds import HARMONISED, build_of_positions
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.keep import LEAVE_OUT_FILES

KINDS = (".pgen", ".bed", ".bgen", ".vcf.gz", ".vcf", ".bcf", ".vcf.bgz")
"""Endings of genotype files, in the order in which a prefix is tried."""

_PLACE = "{chrom}"
_CHROMOSOME = re.compile(r"(?:chr)?(\d{1,2}|X|Y|XY|M|MT|PAR1|PAR2)", re.IGNORECASE)
_REMEDY = "name a file, its path without the ending, a folder, or a quoted pattern such as 'chr{chrom}.pgen'"


def find_genotypes(path: Path) -> list[Path]:
    """The genotype files meant by a file name, a prefix, a folder or a pattern, chromosomes in order.

    Args:
        path: A file; a file without its ending; a folder, all of whose genotype files are meant; a pattern
            with ``{chrom}`` for the chromosome's name; or a pattern with ``*``, ``?`` or ``[...]``. Patterns
            may be without ending.

    Raises:
        DataError: Nothing fits, or a folder holds several kinds of genotype files.
    """
    if path.is_dir():
        return _of_one_kind(path)
    for kind in ("", *KINDS):
        found = [file for file in _fitting(f"{path}{kind}") if file.name.endswith(KINDS)]
        if found:
            return sorted(found, key=_natural)
    raise DataError(
        "no genotype file",
        where=path,
        found="another kind of file" if path.is_file() else "nothing",
        expected=f"a file or prefix of {', '.join(KINDS)}",
        remedy=_REMEDY,
    )


def _fitting(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_file():
        return [path]
    if _PLACE in path.name:
        before, _, after = path.name.partition(_PLACE)
        name = re.compile(re.escape(before) + f"(?:{_CHROMOSOME.pattern})" + re.escape(after), re.IGNORECASE)
        files = path.parent.glob("*") if path.parent.is_dir() else iter(())
        return [file for file in files if file.is_file() and name.fullmatch(file.name)]
    if not re.search(r"[*?\[]", path.name) or not path.parent.is_dir():
        return []
    # Hidden ones are passed over, as a shell does.
    found = (file for file in path.parent.glob(path.name) if not file.name.startswith("."))
    return [file for file in found if file.is_file()]


def _of_one_kind(folder: Path) -> list[Path]:
    files = [file for file in folder.glob("*") if file.is_file() and not file.name.startswith(".")]
    by_kind = {kind: [file for file in files if file.name.endswith(kind)] for kind in KINDS}
    by_kind = {kind: found for kind, found in by_kind.items() if found}
    if len(by_kind) == 1:
        return sorted(next(iter(by_kind.values())), key=_natural)
    found = ", ".join(f"{len(found)} {kind}" for kind, found in by_kind.items())
    what = "several kinds of genotype files" if by_kind else "no genotype file"
    expected = "" if by_kind else f"files of {', '.join(KINDS)}"
    raise DataError(what, where=folder, found=found or "a folder without", expected=expected, remedy=_REMEDY)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sorts chr2 before chr10 and both before chrX."""
    pieces = re.split(r"(\d+)", path.name)
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in pieces if piece]


def join_parts(sets: Sequence[Genotypes]) -> Genotypes:
    """One data set of several, rows one after the other.

    Raises:
        DataError: Samples or genome builds differ between files.
    """
    for first, other in pairwise(sets):
        _check_samples(first, other)
    firsts = np.cumsum([0, *(part.num_variants for part in sets)])
    parts = [
        dataclasses.replace(part, first=int(first) + part.first)
        for first, item in zip(firsts, sets, strict=False)
        for part in item.parts
    ]
    variants = [
        item.variants.with_columns(pl.col("index") + pl.lit(int(first), pl.UInt32))
        for first, item in zip(firsts, sets, strict=False)
    ]
    joined = Genotypes(
        parts=tuple(parts),
        variants=pl.concat(variants),
        sample_ids=sets[0].sample_ids,
        is_male=np.logical_or.reduce([item.is_male for item in sets]),
        build=_one_build(sets),
    )
    return dataclasses.replace(joined, build=_confirmed_build(joined))


def _check_samples(first: Genotypes, other: Genotypes) -> None:
    if first.sample_ids == other.sample_ids:
        return
    counts = (len(first.sample_ids), len(other.sample_ids))
    pairs = zip(first.sample_ids, other.sample_ids, strict=False)
    row = next((row for row, (one, two) in enumerate(pairs) if one != two), min(counts))
    names = [repr(item.sample_ids[row]) if row < len(item.sample_ids) else "none" for item in (first, other)]
    raise DataError(
        "the files hold different samples",
        where=other.files[0],
        found=f"{names[1]} as sample {row + 1} of {counts[1]}",
        expected=f"{names[0]} of {counts[0]}, as in {first.files[0].name}",
        remedy=f"list the samples to score with --keep (those that every file holds are taken), or "
        f"{LEAVE_OUT_FILES}",
    )


def _one_build(sets: Sequence[Genotypes]) -> str | None:
    told = {item.build: item.files[0] for item in sets if item.build}
    if len(told) > 1:
        (build, path), (other, other_path) = list(told.items())[:2]
        raise DataError(
            "mixed genome builds",
            where=other_path,
            found=other,
            expected=f"{build}, as {path.name} says",
            remedy="give files of one build",
        )
    return next(iter(told), None)


def _confirmed_build(genotypes: Genotypes) -> str | None:
    """The build that the files tell, else the one that positions give away.

    Raises:
        DataError: Positions lie beyond the ends of the chromosomes of the build told, GRCh37 or GRCh38, and
            fit the other.
    """
    numbers = chromosome_numbers(genotypes.variants["chrom"])
    found = build_of_positions(numbers, genotypes.variants["pos"].to_numpy())
    if genotypes.build in HARMONISED and found and found != genotypes.build:
        raise DataError(
            "positions of another genome build",
            where=genotypes.files[0],
            found=f"positions beyond the ends of {genotypes.build}'s chromosomes that fit {found}",
            expected=f"{genotypes.build}, as the header says",
            remedy="mend the header or the positions",
        )
    return genotypes.build or found
