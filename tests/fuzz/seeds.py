"""Valid files of every kind, and the digests that some are checked by."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fuzz.strategies import as_json

SCORING = (
    b"###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS1\n#weight_type=OR\n#HmPOS_build=GRCh38\n"
    b"hm_chr\thm_pos\trsID\teffect_allele\tother_allele\teffect_weight\tis_dominant\n"
    b"1\t1000\trs1\tA\tG\t1.5\tFalse\n2\t2000\trs2\tC\tT\t2\tTrue\nX\t\trs3\tAC\tT\t0.5\tFalse\n"
)
SCORING_CSV = (
    b'"chr_name","chr_position","effect_allele","effect_weight"\n"1", 5,"A", "0.25"\n"2", 6,"C",-1\n'
)
DOSED = (
    b"chr_name chr_position effect_allele other_allele dosage_0_weight dosage_1_weight dosage_2_weight\n"
    b"1 5 A G 0 1 2\n1 6 A G 0 0 1\n"
)
VCF = (
    b"##fileformat=VCFv4.3\n##contig=<ID=1>\n##contig=<ID=2>\n"
    b'##FORMAT=<ID=GT,Number=1,Type=String,Description="Call">\n'
    b'##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">\n'
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n"
    b"1\t5\trs1\tA\tG\t.\t.\t.\tGT\t0/1\t1|1\t./.\n1\t6\t.\tAC\t<DEL>,G\t.\t.\t.\tDS\t0.5\t2\t.\n"
    b"2\t7\trs3\tC\t.\t.\t.\t.\tGT:DS\t0:0\t0/0:0\t.:.\n"
)
PVAR = b"##assembly=GRCh38\n#CHROM\tPOS\tID\tREF\tALT\n1\t5\tv0\tA\tG\n1\t6\tv1\tC\tT,G\nX\t7\tv2\tAC\tA\n"
BIM = b"1\tv0\t0\t5\tG\tA\n1\tv1\t0\t6\tT\tC\n23\tv2\t0\t7\tA\tAC\n"
PSAM = b"#FID\tIID\tSEX\n0\t1\t1\n0\t2\t2\n0\t3\tNA\n"
SAMPLE = b"ID_1 ID_2 missing sex\n0 0 0 D\nx a 0 1\ny b 0 2\nz c 0 NA\n"
FAM = b"f 1 0 0 1 -9\nf 2 0 0 2 -9\nf 3 0 0 0 -9\n"
BED = bytes([0x6C, 0x1B, 0x01, 0b111000, 0b011011, 0b000011])
TASK = (
    b"outcomes:\n  T2D: {codes: [SNOMED//1], prefixes: [ICD10CM//E11]}\n"
    b"  again: {steps: [{codes: [A//1]}, {regex: 'B//[0-9]+', above: 2, within_days: 30}]}\n"
    b"prediction: {years_after_entry: [1, 2]}\nhorizons_years: [1, 5]\nwashout_years: 1\ngap_days: 30\n",
    b"outcomes: {a: {codes: x}}\nprediction: {date: 2015-01-01}\nhorizons_years: 1\n",
    b"outcomes: {a: {concept_set: set.json}, b: {steps: [{phecodes: {map: map.csv, codes: [250.2]}}, "
    b"{concept_set: {file: set.json}, within_days: 9}]}}\n"
    b"prediction: {date: 2015-01-01}\nhorizons_years: 1\n",
    b"outcomes: {a: {phecodes: {map: map.csv, codes: ['010', 250], prefixes: {ICD9CM: ''}}}}\n"
    b"prediction: {date: 2015-01-01}\nhorizons_years: 1\n",
    b"outcomes: map.csv\nprediction: {date: 2015-01-01}\nhorizons_years: 1\n",
    b"outcomes: panel.csv\nprediction: {age_years: 50}\nhorizons_years: [10]\n",
)
ACES = tuple(
    (Path(__file__).parents[1] / "reference" / "aces" / f"{name}.yaml").read_bytes()
    for name in ("imminent", "mortality", "onset")  # the others are not for task files
)
PANEL = b"outcome,code,prefix,may_be_absent\nT2D,SNOMED//1,,true\nT2D,,ICD10CM//E11,\nCAD,SNOMED//2,,false\n"
CONCEPT_SET = (
    b'{"items": [{"concept": {"CONCEPT_ID": 1, "CONCEPT_CODE": "2", "VOCABULARY_ID": "SNOMED"}, '
    b'"isExcluded": false, "includeDescendants": false, "includeMapped": false}, '
    b'{"concept": {"CONCEPT_ID": 3, "CONCEPT_CODE": "4", "VOCABULARY_ID": "SNOMED"}, "isExcluded": true}]}',
    b'{"id": 1, "name": "x", "expression": {"items": [{"concept": {"CONCEPT_ID": 5, "CONCEPT_CODE": "6", '
    b'"VOCABULARY_ID": "ICD10CM"}}]}}',
)
PHECODES = (
    b"ICD,Flag,Phecode,PhecodeString\n250.00,9,250.2,T2D\nE11.9,10,250.2,T2D\nA15,10,010,TB\nZ99,10,,\n"
)
MAP = b"sample_id\tsubject_id\na\t1\nb\t2\nc\t3\n"
PERSON = (
    b"person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth\n1,8507,1950,1,2\n2,8532,1960,,\n"
)
CONDITIONS = (
    b"person_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_source_value\n"
    b"1,201826,2001-02-03,2001-02-03T04:05:06-05:00,E11\n2,0,2005-05-05,,E11.9\n"
)
CONCEPT = (
    b"concept_id,concept_name,vocabulary_id,concept_code\n201826,Type 2,SNOMED,44054006\n8507,M,Gender,M\n"
)


def packed(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def zip(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def gzipped(content: bytes) -> bytes:
    """Packed, the same bytes every time."""
    return gzip.compress(content, mtime=0)


def seal_vocabulary(content: bytes, _: Path) -> bytes:
    plain = json.loads(content)
    names = (
        "codes",
        "edges",
        "once",
        "statics",
        "resolution_minutes",
        "min_subjects",
        "units",
        "format_version",
    )
    kept = {name: plain[name] for name in names}
    plain["hash"] = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    return as_json(plain)


def seal_manifest(content: bytes, _: Path) -> bytes:
    plain = json.loads(content)
    del plain["digest"]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return as_json(plain | {"digest": digest})


def seal_config(content: bytes, folder: Path) -> bytes:
    from proband.core.files.digests import digests_of

    return as_json(json.loads(content) | {"files": digests_of(folder, ["model.safetensors"])})


def seal_weights(content: bytes, folder: Path) -> bytes:
    config = json.loads((folder / "config.json").read_text())
    config["files"] = {
        "model.safetensors": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    }
    (folder / "config.json").write_bytes(as_json(config))
    return content


def made_by(make: Callable[[Path], Any], *names: str) -> list[bytes]:
    """What a writer of the project, or of a library, leaves in a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        return [(folder / one).read_bytes() for one in names]


def write_pgen(folder: Path) -> None:
    import pgenlib

    with pgenlib.PgenWriter(str(folder / "a.pgen").encode(), 3, variant_ct=2, nonref_flags=False) as file:
        for row in ([0, 1, 2], [-9, 0, 1]):
            file.append_biallelic(np.array(row, np.int8))


def write_bgen(folder: Path, layout: int, compression: str | None) -> None:
    from bgen import BgenWriter

    unphased = np.array([[1, 0, 0], [0.25, 0.5, 0.25], [np.nan] * 3])
    path = folder / "a.bgen"
    with BgenWriter(str(path), 3, samples=("a", "b", "c"), compression=compression, layout=layout) as file:
        file.add_variant("v1", "rs1", "01", 5, ["A", "G"], unphased, bit_depth=8)
        file.add_variant("v2", "rs2", "2", 6, ["C", "T"], unphased, bit_depth=8)


def write_bcf(folder: Path, mode: str) -> None:
    """``mode`` is wb, packed, or wbu, plain."""
    import cyvcf2

    (folder / "a.vcf").write_bytes(VCF)
    reader = cyvcf2.VCF(str(folder / "a.vcf"))
    writer = cyvcf2.Writer(str(folder / "a.bcf"), reader, mode=mode)
    for record in reader:
        writer.write_record(record)
    writer.close()


def write_model(folder: Path) -> None:
    from proband.model.checkpoint import save_model
    from small_world import random_model

    save_model(random_model(once=(3,)), folder, "0" * 64)


def write_vocabulary(folder: Path) -> None:
    from vocabularies import vocabulary_named

    codes = ("PAD", "MEDS_BIRTH", "LAB//1//Q1", "LAB//1//Q2", "ICD10CM//E11", "MEDS_DEATH")
    once = (False, True, False, False, True, True)
    edges = {"LAB//1": (5.5,)}
    vocabulary_named(codes, edges, {"ICD10CM//E119": "ICD10CM//E11"}, once, ("Gender//F",), 1440, 21).save(
        folder / "vocabulary.json"
    )


def write_manifest(folder: Path) -> None:
    from proband.core.files.provenance import stage_output

    with stage_output(folder / "out", stage="tokens", config={"a": 1}, seed=3) as run:
        np.save(run.folder / "x.npy", np.arange(3))
        run.counts["num_rows"] = 3


def write_ancestry(folder: Path) -> None:
    from proband.genome.ancestry.config import AncestryConfig
    from proband.genome.ancestry.model import AncestryModel, save_model

    model = AncestryModel(AncestryConfig(), None, np.zeros(4), np.ones(4), None, None, None)
    save_model(model, folder / "ancestry_model.npz")


def write_array(folder: Path) -> None:
    np.save(folder / "tokens.npy", np.arange(20, dtype=np.uint16))


def frames() -> dict[str, bytes]:
    at = datetime(2010, 1, 1)
    person = pl.read_csv(io.BytesIO(PERSON))
    return {
        "person": packed(person),
        "events": packed(
            pl.DataFrame(
                {
                    "subject_id": [1, 1, 2],
                    "time": [datetime(1950, 1, 1), at, at],
                    "code": ["MEDS_BIRTH", "LAB//1", "SNOMED//1"],
                    "numeric_value": [None, 5.5, None],
                },
                schema_overrides={"numeric_value": pl.Float32},
            )
        ),
        "splits": packed(pl.DataFrame({"subject_id": [1, 2], "split": ["train", "held_out"]})),
        "risk": packed(
            pl.DataFrame(
                {
                    "subject_id": [1, 2],
                    "prediction_time": [at, at],
                    "outcome": ["a", "a"],
                    "horizon_years": [1.0, 1.0],
                    "risk": [0.1, 0.2],
                    "standard_error": [0.0, 0.0],
                    "unresolved": [0.0, 0.0],
                    "model": ["m", "m"],
                }
            )
        ),
        "labels": packed(
            pl.DataFrame(
                {
                    "subject_id": [1, 2],
                    "prediction_time": [at, at],
                    "outcome": ["a", "a"],
                    "split": ["train", "train"],
                    "time_years": [1.0, 2.0],
                    "event": pl.Series([1, 0], dtype=pl.Int8),
                }
            )
        ),
        "scores": packed(pl.DataFrame({"IID": ["1", "2"], "PGS1": [0.5, 1.5], "PGS2": [1.0, None]})),
    }


LONG = b"sampleset\tIID\tPGS\tSUM\ncohort\t1\tPGS1\t0.5\ncohort\t2\tPGS1\t1.5\n"
WIDE = b"#IID\tALLELE_CT\tPGS1_SUM\n1\t4\t0.5\n2\t4\t-1e-3\n"
