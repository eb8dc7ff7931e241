"""Why htslib refuses a VCF, where it does not say: looked for in the text itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TextIO

from proband.core.errors import DataError
from proband.core.text.texttable import READ_ERRORS, open_text

_MARK = "\ufeff"
_SAMPLES_FROM = 9  # columns before the samples': CHROM to FORMAT
_RECORDS = 100
"""Records looked at."""
_PHASE_IN_FRONT = re.compile(r"[/|][\d.]")
_INTEGER_DS = re.compile(r'##FORMAT=<(?:[^"]*,)?ID=DS,(?:[^"]*,)?Type=Integer[,>]')
_FRACTION = re.compile(r"\d\.\d")


def cause_of(path: Path) -> tuple[str, str]:
    """What is wrong with a text VCF that htslib cannot read, and what to do; empty where it is not known.

    Known are a byte order mark, sample names that repeat, genotypes with the phase in front (``|0|1``, of VCF
    4.4), and fractions in a field DS that is declared an Integer.
    """
    try:
        with open_text(path) as lines:
            lines.reconfigure(encoding="utf-8")  # keeps the mark
            return _of_lines(lines)
    except (*READ_ERRORS, DataError):
        return "", ""


def _of_lines(lines: TextIO) -> tuple[str, str]:
    has_integers = False
    for line in lines:
        if line.startswith(_MARK):
            return "a byte order mark before ##fileformat", r"take it off (sed '1s/^\xef\xbb\xbf//')"
        has_integers = has_integers or bool(_INTEGER_DS.match(line))
        if line.startswith("#CHROM"):
            return _repeated(line) or _of_records(islice(lines, _RECORDS), has_integers)
    return "", ""


def _repeated(line: str) -> tuple[str, str] | None:
    counts = Counter(line.rstrip("\r\n").split("\t")[_SAMPLES_FROM:])
    twice = [name for name, number in counts.items() if number > 1]
    if not twice:
        return None
    found = f"{len(twice)} sample names that come more than once, first {twice[0]!r}"
    return found, "give each sample a name of its own in the line #CHROM"


def _of_records(records: Iterable[str], has_integers: bool) -> tuple[str, str]:
    for record in records:
        cells = record.rstrip("\r\n").split("\t")
        shape = cells[_SAMPLES_FROM - 1].split(":") if len(cells) >= _SAMPLES_FROM else []
        where = f"at {':'.join(cells[:2])}"
        if shape[:1] == ["GT"]:
            call = next((cell for cell in cells[_SAMPLES_FROM:] if _PHASE_IN_FRONT.match(cell)), None)
            if call is not None:
                found = f"a genotype with its phase in front, as of VCF 4.4 ({call.split(':')[0]!r} {where})"
                return found, "write genotypes without it, such as 0|1 for |0|1, as VCF 4.3 has them"
        if has_integers and "DS" in shape:
            values = [cell.split(":") for cell in cells[_SAMPLES_FROM:]]
            place = shape.index("DS")
            if any(len(value) > place and _FRACTION.search(value[place]) for value in values):
                remedy = "declare DS as Number=A,Type=Float in the header (bcftools reheader)"
                return f"a fraction in DS {where}, which the header declares an Integer", remedy
    return "", ""
