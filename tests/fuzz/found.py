"""Files on which a parser once failed: with a traceback, a crash, or more memory than there is reason for."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from fuzz import seeds


def _flipped(content: bytes, at: int, bits: int) -> bytes:
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


def _to_one_line(content: bytes) -> bytes:
    """Commas, line ends of carriage returns but for the last one, and a line below."""
    return content.rstrip(b"\n").replace(b"\n", b"\r").replace(b"\t", b", ") + b"\nrs9, A\n"


def _changed(content: bytes, **values: Any) -> bytes:
    return seeds.as_json(json.loads(content) | values)


def _without(content: bytes, name: str) -> bytes:
    return seeds.as_json({key: value for key, value in json.loads(content).items() if key != name})


def _asks_for_gigabytes(content: bytes) -> bytes:
    """The first page header of a table of polars asks for 1.4 GB; four bytes are too many."""
    at = len(b"PAR1\x15\x04\x15")
    return content[:at] + b"\x80\x9c\x92\xb7\x0a" + content[at + 1 :]


def _holds_less_than_nothing(content: bytes) -> bytes:
    """A data page of fewer values than none, by one bit: polars asked for 2**61 bytes."""
    return _flipped(content, content.index(b",\x15") + 2, 1)


def _dated(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"subject_id": [1], "prediction_time": ["2015-03-31"]} | columns)


def _on_an_undeclared_contig() -> bytes:
    return seeds.VCF.replace(b"2\t7\trs3", b"undeclared\t7\trs3").replace(b"0/0:0\t.:.", b"0/0:0\tnull")


def found() -> dict[str, tuple[bytes, ...]]:
    """Name of each parser to the files."""
    (manifest,) = seeds.made_by(seeds.write_manifest, "out/manifest.json")
    (vocabulary,) = seeds.made_by(seeds.write_vocabulary, "vocabulary.json")
    plain = _without(manifest, "digest")
    events = seeds.frames()["events"]
    ages = seeds.packed(pl.DataFrame({"subject_id": [100, 100], "age_years": [1.0, 2.0]}))
    doubled = b"\n".join(line + b"\thm_chr" for line in seeds.SCORING.splitlines())
    flags = 3  # of a gzip header, whose upper bits must be zero
    return {
        "scoring file": (doubled,),
        "scoring file by identifiers": (_to_one_line(seeds.SCORING),),
        "scoring file, packed": (_flipped(seeds.gzipped(seeds.SCORING), flags, 0x20),),
        "VCF": (seeds.VCF + b"\n", seeds.VCF + b"007\n", seeds.VCF + b"\n\n007", _on_an_undeclared_contig()),
        "pvar": (
            b"#CHROM\tPOS\tID\tREF\tALT\tX\tX\n1\t5\tv0\tA\tG\t1\t1\n\n",
            b"#CHROM\tPOS\tID\tREF\tALT\tPOS\n",
        ),
        "pgen": (bytes.fromhex("6c1b10 01000000 0000000b 000000000000000000010000"),),  # 184,549,376 samples
        "BGEN": (
            b"A" * 12 + b"\xff\xff\0\0\0\0\0\0" + b"A" * 100,
            seeds.made_by(lambda folder: seeds.write_bgen(folder, 2, "zlib"), "a.bgen")[0].replace(
                b"\x01\x00b\x01\x00c", b"\x01\x00\xff\x01\x00c"
            ),
        ),
        "kinship": (b"\r\n.", b"\n"),
        "scores, wide": (b"\r, ALLELE_CT, PGS1_SUM\n2, 4, -1e-3",),
        "task": (
            b'outcomes: "\\0"',
            b"outcomes: " + 20_000 * b"[",  # the scanner of YAML looked at every open bracket for each
            b'horizons_years: 1\noutcomes:\n  "\\uD800":\n    codes: x\nprediction:\n  date: 2015-01-01\n',
        ),
        "scores, long": (
            b"\r, IID, PGS, SUM\ncohort, 2, PGS1, 1.5",
            b"*, IID, PGS, SUM\nx, IID, PGS, SUM\ncohort, 1, PGS1, 0.5\n",
        ),
        "MEDS shard": (
            *(_flipped(events, at, 255) for at in (531, 1008, 1085)),
            _holds_less_than_nothing(events),
        ),
        "manifest": (_changed(plain, config=None), _changed(plain, inputs={"a": []})),
        "vocabulary": (_changed(vocabulary, once=[True]), _changed(vocabulary, codes=[1, 2])),
        "scenario": (b"\r2:",),
        "dates": (b"subject_id,subject_id,x\n1,1,2015-03-31", b"#  #\n1  2015-03-31"),
        "dates, Parquet": (
            seeds.packed(_dated(prediction_time=pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)))),
        ),
        "names of codes": (seeds.packed(pl.DataFrame({"code": [1], "description": ["a"]})),),
        "names of scores": (b'{"PGS1": null}',),
        "modality": (
            _asks_for_gigabytes(ages),
            _holds_less_than_nothing(ages),
            seeds.packed(pl.DataFrame({"subject_id": [100], "age_years": [2.0**64], "value": [0.5]})),
            seeds.packed(pl.DataFrame({"subject_id": [2**64 - 1, 100], "value": [0.5, 1.5]})),
        ),
        "log of a training": (b"\xd5h", b"[1]\n", b"[" * 100_000),
        "array of tokens": (b"\x93NUMPY\x01\x00v\x00{'descr'\x93NUMPY\x01\x00v\x00{'descr': '<u2'\0\0",),
    }
