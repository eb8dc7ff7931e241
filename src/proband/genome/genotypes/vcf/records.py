"""What htslib reads: header, variants and dosages of a VCF or BCF file, in a process that does nothing else.

cyvcf2 hands on what htslib holds. Some damaged records crash both, so this module runs apart
(:mod:`~proband.genome.genotypes.vcf.process`) and is light to import.

The first record of a contig that the header does not declare is taken by cyvcf2 whether or not htslib could
parse it (``VCF.__next__``; samtools/htslib issue 515): every contig is declared before its records are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt16

from proband.core.errors import first_line
from proband.core.running.engine import begin_worker

UNIT = 2**14
"""A dosage of 1, the precision of .pgen."""
MISSING_UNITS = np.uint16(2**16 - 1)
"""A missing call."""
COLUMNS = ("chrom", "pos", "ref", "alt", "id", "bare")
"""Of a record; ``bare`` holds its FORMAT if that tells no dosages, else None."""
_BATCH = 256
"""Records in one answer."""
_NOT_CALLED, _PADDING = -1, -2  # cyvcf2's codes of a missing allele and of what fills up haploid calls
_SOMETIMES_HAPLOID = ("X", "Y", "M", "MT", "23", "24", "26")
_USUAL_CONTIGS = [
    f"{prefix}{name}" for prefix in ("", "chr") for name in (*range(1, 23), "X", "Y", "M", "MT")
]


class _UndeclaredError(Exception):
    """A contig without header line."""


def serve(parent: int) -> None:
    """Answer requests until standard input ends or the parent is gone.

    A request is a line ``[file, file of dosages]``. Answers are lines of JSON: those of :func:`read`, last
    ``{"end": null}``, ``{"unreadable": why}``, ``{"memory": what}`` or ``{"disk": [number, text, file]}``.

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
    except Exception as error:  # cyvcf2 raises bare Exception on a damaged file
        if isinstance(error, OSError) and error.errno:
            yield {"disk": [error.errno, os.strerror(error.errno), error.filename]}
        else:
            yield {"unreadable": first_line(error)}


def read(path: Path, dosages: Path) -> Iterator[dict[str, Any]]:
    """Read a file whole and write its dosages, 2-byte units, variants by samples.

    Yields:
        ``{"header": lines, "samples": names}``, then ``{"records": columns}``, as :data:`COLUMNS`, of some
        records at a time. A second header says that what came before is to be forgotten.

    Raises:
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
    yield {"header": vcf.raw_header.splitlines(), "samples": samples}
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
    alone = "GT" not in shape and "DS" in shape and not may_be_haploid
    dosages = record.format("DS") if alone else None
    if "GT" in shape:
        calls = record.genotype.array()
        units = call_units(calls)
        if "DS" in shape and (units == MISSING_UNITS).any():
            units = filled(units, record.format("DS"), is_haploid(calls) & may_be_haploid)
    elif dosages is not None and dosages.ndim > 1 and dosages.shape[1]:
        units = dosage_units(dosages[:, 0])
    else:
        units = np.full(num_samples, MISSING_UNITS)
    file.write(units.tobytes())
    bare = " ".join(shape) if not ("GT" in shape or alone) else None
    return record.CHROM, record.POS, record.REF, ",".join(record.ALT) or ".", record.ID, bare


def call_units(calls: Int16[np.ndarray, "samples ploidy_and_phase"]) -> UInt16[np.ndarray, " samples"]:
    """Units of the first ALT's dosage from called alleles (-1 missing, -2 padding; last column phase).

    >>> calls = np.array([[0, 1, 0], [1, -2, 0], [-1, 1, 0]], np.int16)
    >>> (call_units(calls) / 2**14).tolist()[:2]
    [1.0, 2.0]
    """
    alleles = calls[:, :-1]
    num_called = (alleles >= 0).sum(axis=1)
    units = (alleles == 1).sum(axis=1) * (2 * UNIT) // np.maximum(num_called, 1)
    units[(alleles == _NOT_CALLED).any(axis=1) | (num_called == 0)] = MISSING_UNITS
    return units.astype(np.uint16)


def is_haploid(calls: Int16[np.ndarray, "samples ploidy_and_phase"]) -> Bool[np.ndarray, " samples"]:
    """Whose call is of one allele, be it missing (``.``, where who has two has ``./.``)."""
    return (calls[:, 1:-1] == _PADDING).all(axis=1)


def filled(
    units: UInt16[np.ndarray, " samples"],
    dosages: Float32[np.ndarray, "samples alleles"] | None,
    is_haploid: Bool[np.ndarray, " samples"],
) -> UInt16[np.ndarray, " samples"]:
    """Units of calls, where a call is missing those of the first ALT's dosage; that of a haploid sample, 0 to
    1, counts twice as its call does.

    >>> calls, dosages = np.array([0, 2**16 - 1], np.uint16), np.array([[1.5], [0.25]], np.float32)
    >>> (filled(calls, dosages, np.array([False, True])) / 2**14).tolist()
    [0.0, 0.5]
    """
    if dosages is None or dosages.ndim == 1 or not dosages.size or dosages.dtype.kind != "f":
        return units
    copies = np.where(is_haploid, np.float32(2), np.float32(1))
    return np.where(units == MISSING_UNITS, dosage_units(dosages[:, 0] * copies), units)


def dosage_units(dosages: Float32[np.ndarray, " samples"]) -> UInt16[np.ndarray, " samples"]:
    """Units of given dosages; NaN and values outside 0 to 2 are missing, as in plink2."""
    valid = (dosages >= 0) & (dosages <= 2)
    units = np.rint(np.where(valid, dosages, 0) * UNIT).astype(np.uint16)
    return np.where(valid, units, MISSING_UNITS)
