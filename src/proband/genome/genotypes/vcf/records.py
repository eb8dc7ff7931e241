"""What htslib reads: header, variants and dosages of a VCF or BCF file, in a process that does nothing else.

cyvcf2 hands on what htslib holds. Some damaged records crash both, so this module runs apart
(:mod:`~proband.genome.genotypes.vcf.process`) and is light to import.

An ALT that nobody has (``<NON_REF>``, ``<*>``) is dropped where others stand beside it; a call of it is
missing. DS is read as numbers whatever the header declares: floats, integers, or text, which it is where
undeclared.

The first record of a contig that the header does not declare is taken by cyvcf2 whether or not htslib could
parse it (``VCF.__next__``; samtools/htslib issue 515): every contig is declared before its records are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float32

from proband.core.errors import first_line
from proband.core.running.engine import begin_worker
from proband.genome.genotypes.vcf.units import (
    MISSING_UNITS,
    as_dosages,
    call_units,
    dosage_units,
    filled,
    is_haploid,
)

COLUMNS = ("chrom", "pos", "ref", "alt", "id", "bare")
"""Of a record; ``bare`` holds its FORMAT if that tells no dosages, else None."""
_BATCH = 256
"""Records in one answer."""
_SOMETIMES_HAPLOID = ("X", "Y", "M", "MT", "23", "24", "26")
_USUAL_CONTIGS = [
    f"{prefix}{name}" for prefix in ("", "chr") for name in (*range(1, 23), "X", "Y", "M", "MT")
]
_UNSPECIFIED = ("<NON_REF>", "<*>")
"""Of :data:`~proband.genome.genotypes.alleles.ABSENT_ALLELES` those that stand beside others."""
_DS = "DS"
_DECLARED_DS = re.compile(r'##FORMAT=<(?:[^"]*,)?ID=DS[,>]')
_DS_LINE = '##FORMAT=<ID=DS,Number=1,Type=String,Description="Dosage">'
_DS_REMEDY = "declare DS as Number=A,Type=Float in the header (bcftools reheader), or leave it out"


class _UndeclaredError(Exception):
    """A contig without header line."""


class UnreadableError(Exception):
    """A file that cannot be read, in one line.

    Args:
        found: What was there.
        remedy: What the user can do; empty where it is not known.
    """

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(found)
        self.remedy = remedy


def serve(parent: int) -> None:
    """Answer requests until standard input ends or the parent is gone.

    A request is a line ``[file, file of dosages]``. Answers are lines of JSON: those of :func:`read`, last
    ``{"end": null}``, ``{"unreadable": why, "remedy": what}``, ``{"memory": what}`` or
    ``{"disk": [number, text, file]}``.

    Args:
        parent: Number of the process that asks.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's, who ends this process
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file of people's genotypes
    begin_worker(parent)
    _quieten_htslib()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing that a library prints comes among them
    for line in sys.stdin.buffer:
        path, dosages = map(Path, json.loads(line))
        for answer in _answers(path, dosages):
            answers.write(json.dumps(answer).encode("ascii") + b"\n")
            answers.flush()


def _answers(path: Path, dosages: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from read(path, dosages)
        yield {"end": None}
    except MemoryError as error:
        yield {"memory": str(error)}
    except UnreadableError as error:
        yield {"unreadable": str(error), "remedy": error.remedy}
    except Exception as error:  # cyvcf2 raises bare Exception on a damaged file
        if isinstance(error, OSError) and error.errno:
            yield {"disk": [error.errno, os.strerror(error.errno), error.filename]}
        else:
            yield {"unreadable": first_line(error), "remedy": ""}


def read(path: Path, dosages: Path) -> Iterator[dict[str, Any]]:
    """Read a file whole and write its dosages, 2-byte units, variants by samples.

    Yields:
        ``{"header": lines, "samples": names}``, then ``{"records": columns}``, as :data:`COLUMNS`, of some
        records at a time. A second header says that what came before is to be forgotten.

    Raises:
        UnreadableError: DS is no number.
        Exception: htslib cannot read the file.
    """
    try:
        yield from _read(path, dosages, _USUAL_CONTIGS)
    except _UndeclaredError:
        yield from _read(path, dosages, [*_USUAL_CONTIGS, *_contigs(path)])


def _read(path: Path, dosages: Path, contigs: list[str]) -> Iterator[dict[str, Any]]:
    from cyvcf2 import VCF

    vcf = VCF(str(path))
    samples = list(vcf.samples)
    header = vcf.raw_header.splitlines()
    yield {"header": header, "samples": samples}
    if not any(map(_DECLARED_DS.match, header)):
        vcf.add_to_header(_DS_LINE)  # text, as htslib takes a field that is not declared
    for name in contigs:
        vcf.add_to_header(f"##contig=<ID={name}>")
    declared, rows = set(vcf.seqnames), []
    with open(dosages, "wb") as file:
        for record in vcf:
            if record.CHROM not in declared:
                raise _UndeclaredError(f"contig {record.CHROM} cannot be declared")
            rows.append(_keep(record, file, len(samples)))
            if len(rows) == _BATCH:
                yield {"records": list(zip(*rows, strict=True))}
                rows.clear()
    if rows:
        yield {"records": list(zip(*rows, strict=True))}


def _contigs(path: Path) -> list[str]:
    """Contigs of all records.

    Raises:
        ValueError: A line has none.
    """
    from cyvcf2 import VCF

    names = list(dict.fromkeys(record.CHROM for record in VCF(str(path), lazy=True)))
    if "" in names:
        raise ValueError("a line without chromosome")
    return names


def _quieten_htslib() -> None:
    """Keep htslib's own warnings off the terminal: a damaged file is told of once, by the error raised."""
    with contextlib.suppress(ImportError):  # older cyvcf2 has no such switch
        from cyvcf2.cyvcf2 import set_htslib_log_level

        set_htslib_log_level(0)


def _keep(record: Any, file: BinaryIO, num_samples: int) -> tuple[str, int, str, str, str | None, str | None]:
    """Append a record's dosages to ``file``; what :data:`COLUMNS` hold."""
    shape = record.FORMAT
    may_be_haploid = record.CHROM.upper().removeprefix("CHR") in _SOMETIMES_HAPLOID
    # Without calls, DS of one copy and of two cannot be told apart.
    alone = "GT" not in shape and _DS in shape and not may_be_haploid
    alts, kept = record.ALT, _kept(record.ALT)
    counted = kept[0] if kept else 0
    units = np.full(num_samples, MISSING_UNITS)
    if "GT" in shape:
        calls = record.genotype.array()
        units = call_units(
            calls, counted + 1, [number + 1 for number in range(len(alts)) if number not in kept]
        )
        if _DS in shape and (units == MISSING_UNITS).any():
            units = filled(units, _dosages(record, counted), is_haploid(calls) & may_be_haploid)
    elif alone and (dosages := _dosages(record, counted)) is not None:
        units = dosage_units(dosages)
    file.write(units.tobytes())
    bare = " ".join(shape) if not ("GT" in shape or alone) else None
    alt = ",".join(alts[number] for number in kept) or "."
    return record.CHROM, record.POS, record.REF, alt, record.ID, bare


def _kept(alts: list[str]) -> list[int]:
    """Places of the ALT alleles that somebody may have; the first where there is none."""
    places = range(len(alts))
    return [number for number in places if alts[number].upper() not in _UNSPECIFIED] or list(places[:1])


def _dosages(record: Any, counted: int) -> Float32[np.ndarray, " samples"] | None:
    """DS of every sample, of the ALT at the place ``counted``; None where the record has none.

    Raises:
        UnreadableError: DS is not declared as numbers or text, or a value is no number.
    """
    try:
        given = record.format(_DS)
        return None if given is None else as_dosages(given, counted)
    except MemoryError:
        raise
    except Exception as error:  # cyvcf2 raises bare Exception for a type that it does not know
        where = f"{record.CHROM}:{record.POS}"
        raise UnreadableError(f"DS at {where} that is no number ({first_line(error)})", _DS_REMEDY) from None
