"""Every parser of the project, with valid files of its kind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fuzz.strategies import as_json, json_tree, parquet, table, yaml_tree, zipped


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        name: Of the file that is made up, as it is told in the docs.
        file: What that file is called.
        read: Reads it in a folder; called once for every input.
        seeds: Valid files.
        shape: Strategy of files that know the structure.
        beside: Further files of the folder.
        seal: Gives a file the digests that its reader checks, so that what lies behind them is reached.
        share: Of the examples asked for; below 1 for what takes long.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    seeds: tuple[bytes, ...]
    shape: Callable | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    seal: Callable[[bytes, Path], bytes] | None = None
    share: float = 1.0


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
FAM = b"f 1 0 0 1 -9\nf 2 0 0 2 -9\nf 3 0 0 0 -9\n"
BED = bytes([0x6C, 0x1B, 0x01, 0b111000, 0b011011, 0b000011])
TASK = (
    b"outcomes:\n  T2D: {codes: [SNOMED//1], prefixes: [ICD10CM//E11]}\n"
    b"  again: {steps: [{codes: [A//1]}, {regex: 'B//[0-9]+', above: 2, within_days: 30}]}\n"
    b"prediction: {years_after_entry: [1, 2]}\nhorizons_years: [1, 5]\nwashout_years: 1\ngap_days: 30\n",
    b"outcomes: {a: {codes: x}}\nprediction: {date: 2015-01-01}\nhorizons_years: 1\n",
    b"outcomes: panel.csv\nprediction: {age_years: 50}\nhorizons_years: [10]\n",
)
PANEL = b"outcome,code,prefix,may_be_absent\nT2D,SNOMED//1,,true\nT2D,,ICD10CM//E11,\nCAD,SNOMED//2,,false\n"
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


def _packed(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def _zip(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def _genotypes(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.genotypes import open_genotypes

        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            found = open_genotypes(folder / name, Path(scratch), with_ids=True)
            rows = np.arange(found.num_variants, dtype=np.uint32)
            found.reader.read(rows, 0, len(found.sample_ids))

    return read


def _scorefile(name: str, by_id: bool = False) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.scorefile import read_scorefile, read_sites

        read_sites(folder / name, 9)
        read_scorefile(folder / name, by_id=by_id)

    return read


def _variant_list(folder: Path) -> Any:
    from proband.genome.variantlist import read_variant_list

    return read_variant_list(folder / "list.txt").needs_ids


def _samples(folder: Path) -> Any:
    from proband.genome.samples import identify

    return identify(["a", "b", "c"], folder / "map.tsv", "toy.pgen")


def _people(folder: Path) -> Any:
    from proband.genome.ancestry.inputs import read_pcs, read_populations

    read_populations(folder / "people.tsv", ["a", "b"], None)
    who = pl.DataFrame({"subject_id": [1, 2], "sample_id": ["a", "b"]})
    return read_pcs(folder / "people.tsv", who, 2)


def _kinship(folder: Path) -> Any:
    from proband.ehr.kinship import read_families

    return read_families(folder / "kin.tsv", 0.1)


def _external(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.genome.external import genome_from_scores

        try:
            genome_from_scores([folder / name], folder / "out")
        finally:
            shutil.rmtree(folder / "out", ignore_errors=True)

    return read


def _ehr(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        from proband.ehr import ehr

        try:
            ehr(folder / name, folder / "out", workers=1)
        finally:
            shutil.rmtree(folder / "out", ignore_errors=True)

    return read


def _task(folder: Path) -> Any:
    from proband.ehr.outcomes import load_task, save_task, task_files

    task = load_task(folder / "task.yaml")
    task_files(folder / "task.yaml")
    save_task(task, folder / "again.yaml")
    for outcome in task.outcomes.values():
        for step in outcome.steps:
            step.select(["A//1", "SNOMED//1"])
    assert load_task(folder / "again.yaml") == task


def _shard(folder: Path) -> Any:
    from proband.ehr.meds import read_shard
    from proband.ehr.tidy import tidy

    return tidy(read_shard(folder / "0.parquet"), True)


def _splits(folder: Path) -> Any:
    from proband.ehr.splits import read_splits

    return read_splits(folder)


def _risk(folder: Path) -> Any:
    from proband.ehr.outcomes import load_task
    from proband.evaluate.inputs import read_risks

    return read_risks([folder / "risk.parquet"], load_task(folder / "task.yaml"), True)


def _labels(folder: Path) -> Any:
    from proband.core.schema import LABELS

    return LABELS.read(folder / "labels.parquet")


def _vocabulary(folder: Path) -> Any:
    from proband.tokens.vocabulary import Vocabulary

    found = Vocabulary.load(folder / "vocabulary.json")
    return found.base_codes(), found.value_bounds(), found.alike(), found.kinds(), found.index, found.death


def _manifest(folder: Path) -> Any:
    from proband.core.provenance import check_input, is_finished, open_output

    is_finished(folder, "tokens", {"a": 1}, False, [])
    check_input(folder / "x.npy")
    return open_output(folder, "tokens")


def _model(folder: Path) -> Any:
    from proband.model.checkpoint import load_model

    return load_model(folder)


def _ancestry(folder: Path) -> Any:
    from proband.genome.ancestry.model import load_model

    return load_model(folder / "ancestry_model.npz")


def _array(folder: Path) -> Any:
    from proband.tokens.dataset import _map

    return _map(folder / "tokens.npy", 1, 100)


def _seal_vocabulary(content: bytes, _: Path) -> bytes:
    plain = json.loads(content)
    names = ("codes", "edges", "once", "statics", "resolution_minutes", "min_subjects", "format_version")
    kept = {name: plain[name] for name in names}
    plain["hash"] = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    return as_json(plain)


def _seal_manifest(content: bytes, _: Path) -> bytes:
    plain = json.loads(content)
    del plain["digest"]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return as_json(plain | {"digest": digest})


def _seal_config(content: bytes, folder: Path) -> bytes:
    from proband.core.digests import digests_of

    return as_json(json.loads(content) | {"files": digests_of(folder, ["model.safetensors"])})


def _seal_weights(content: bytes, folder: Path) -> bytes:
    config = json.loads((folder / "config.json").read_text())
    config["files"] = {
        "model.safetensors": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    }
    (folder / "config.json").write_bytes(as_json(config))
    return content


def _made(make: Callable[[Path], Any], *names: str) -> list[bytes]:
    """What a writer of the project, or of a library, leaves in a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        return [(folder / one).read_bytes() for one in names]


def _write_pgen(folder: Path) -> None:
    import pgenlib

    with pgenlib.PgenWriter(str(folder / "a.pgen").encode(), 3, variant_ct=2, nonref_flags=False) as file:
        for row in ([0, 1, 2], [-9, 0, 1]):
            file.append_biallelic(np.array(row, np.int8))


def _write_bgen(folder: Path, layout: int, compression: str | None) -> None:
    from bgen import BgenWriter

    unphased = np.array([[1, 0, 0], [0.25, 0.5, 0.25], [np.nan] * 3])
    path = folder / "a.bgen"
    with BgenWriter(str(path), 3, samples=("a", "b", "c"), compression=compression, layout=layout) as file:
        file.add_variant("v1", "rs1", "01", 5, ["A", "G"], unphased, bit_depth=8)
        file.add_variant("v2", "rs2", "2", 6, ["C", "T"], unphased, bit_depth=8)


def _write_model(folder: Path) -> None:
    from small_world import random_model

    from proband.model.checkpoint import save_model

    save_model(random_model(once=(3,)), folder, "0" * 64)


def _write_vocabulary(folder: Path) -> None:
    from proband.tokens.vocabulary import Vocabulary

    codes = ("PAD", "MEDS_BIRTH", "LAB//1//Q1", "LAB//1//Q2", "ICD10CM//E11", "MEDS_DEATH")
    once = (False, True, False, False, True, True)
    edges = {"LAB//1": (5.5,)}
    Vocabulary(codes, edges, {"ICD10CM//E119": "ICD10CM//E11"}, once, ("Gender//F",), 1440, 21).save(
        folder / "vocabulary.json"
    )


def _write_manifest(folder: Path) -> None:
    from proband.core.provenance import stage_output

    with stage_output(folder / "out", stage="tokens", config={"a": 1}, seed=3) as run:
        np.save(run.folder / "x.npy", np.arange(3))
        run.counts["num_rows"] = 3


def _write_ancestry(folder: Path) -> None:
    from proband.genome.ancestry.config import AncestryConfig
    from proband.genome.ancestry.model import AncestryModel, save_model

    model = AncestryModel(AncestryConfig(), None, np.zeros(4), np.ones(4), None, None, None)
    save_model(model, folder / "ancestry_model.npz")


def _write_array(folder: Path) -> None:
    np.save(folder / "tokens.npy", np.arange(20, dtype=np.uint16))


def _frames() -> dict[str, bytes]:
    at = datetime(2010, 1, 1)
    return {
        "events": _packed(
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
        "splits": _packed(pl.DataFrame({"subject_id": [1, 2], "split": ["train", "held_out"]})),
        "risk": _packed(
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
        "labels": _packed(
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
        "scores": _packed(pl.DataFrame({"IID": ["1", "2"], "PGS1": [0.5, 1.5], "PGS2": [1.0, None]})),
    }


_LONG = b"sampleset\tIID\tPGS\tSUM\ncohort\t1\tPGS1\t0.5\ncohort\t2\tPGS1\t1.5\n"
_WIDE = b"#IID\tALLELE_CT\tPGS1_SUM\n1\t4\t0.5\n2\t4\t-1e-3\n"


def all_parsers() -> list[Parser]:
    """Every parser; the files are made once."""
    frames = _frames()
    (pgen,) = _made(_write_pgen, "a.pgen")
    bgen = [
        _made(lambda folder, at=at, how=how: _write_bgen(folder, at, how), "a.bgen")[0]
        for at, how in ((2, "zlib"), (2, "zstd"), (2, None), (1, "zlib"))
    ]
    weights, config = _made(_write_model, "model.safetensors", "config.json")
    (vocabulary,) = _made(_write_vocabulary, "vocabulary.json")
    manifest, array = _made(_write_manifest, "out/manifest.json", "out/x.npy")
    pair = {"a.pvar": PVAR.replace(b"X\t7\tv2\tAC\tA\n", b"").replace(b",G", b""), "a.psam": PSAM}
    omop = {"condition_occurrence.csv": CONDITIONS, "concept.csv": CONCEPT}
    bed, scoring = {"a.bed": BED, "a.bim": BIM, "a.fam": FAM}, (SCORING, SCORING_CSV, DOSED)
    without = lambda name: {key: value for key, value in bed.items() if key != name}  # noqa: E731
    return [
        Parser("scoring file", "PGS1.txt", _scorefile("PGS1.txt"), scoring, table),
        Parser("scoring file by identifiers", "PGS1.txt", _scorefile("PGS1.txt", True), (SCORING,), table),
        Parser("scoring file, packed", "a.txt.gz", _scorefile("a.txt.gz"), (gzip.compress(SCORING),)),
        Parser("variant list", "list.txt", _variant_list, (SCORING, b"rs1\nrs2\n1:5:A:G\n"), table),
        Parser("VCF", "a.vcf", _genotypes("a.vcf"), (VCF,), table),
        Parser("VCF, packed", "a.vcf.gz", _genotypes("a.vcf.gz"), (gzip.compress(VCF),)),
        Parser("BGEN", "a.bgen", _genotypes("a.bgen"), tuple(bgen)),
        Parser("pgen", "a.pgen", _genotypes("a.pgen"), (pgen,), beside=pair),
        Parser("pvar", "a.pvar", _genotypes("a.pgen"), (pair["a.pvar"],), table, {"a.pgen": pgen, "a.psam": PSAM}),
        Parser("psam", "a.psam", _genotypes("a.pgen"), (PSAM,), table, {"a.pgen": pgen, "a.pvar": pair["a.pvar"]}),
        Parser("bim", "a.bim", _genotypes("a.bed"), (BIM,), table, without("a.bim")),
        Parser("fam", "a.fam", _genotypes("a.bed"), (FAM,), table, without("a.fam")),
        Parser("bed", "a.bed", _genotypes("a.bed"), (BED,), beside=without("a.bed")),
        Parser("table of samples", "map.tsv", _samples, (MAP,), table),
        Parser("table of people", "people.tsv", _people, (b"IID\tPOP\tPC1\tPC2\na\tx\t1\t2\nb\ty\t3\t4\n",), table),
        Parser("kinship", "kin.tsv", _kinship, (b"#IID1\tIID2\tKINSHIP\n1\t2\t0.25\n3\t4\t0.1\n",), table),
        Parser("scores, wide", "wide.sscore", _external("wide.sscore"), (_WIDE,), table, share=0.5),
        Parser("scores, long", "long.txt", _external("long.txt"), (_LONG,), table, share=0.5),
        Parser("scores, Parquet", "s.parquet", _external("s.parquet"), (frames["scores"],), parquet, share=0.5),
        Parser("OMOP person", "omop/person.csv", _ehr("omop"), (PERSON,), table, _in(omop), share=0.05),
        Parser(
            "OMOP events",
            "omop/condition_occurrence.csv",
            _ehr("omop"),
            (CONDITIONS,),
            table,
            _in({"person.csv": PERSON, "concept.csv": CONCEPT}),
            share=0.05,
        ),
        Parser(
            "OMOP zip",
            "omop.zip",
            _ehr("omop.zip"),
            (_zip(person=PERSON, condition_occurrence=CONDITIONS),),
            zipped,
            share=0.1,
        ),
        Parser("MEDS shard", "0.parquet", _shard, (frames["events"],), parquet),
        Parser("splits", "metadata/subject_splits.parquet", _splits, (frames["splits"],), parquet),
        Parser("RiskTable", "risk.parquet", _risk, (frames["risk"],), parquet, {"task.yaml": TASK[1]}),
        Parser("labels", "labels.parquet", _labels, (frames["labels"],), parquet),
        Parser("task", "task.yaml", _task, TASK, yaml_tree, {"panel.csv": PANEL}),
        Parser("panel", "panel.csv", _task, (PANEL,), table, {"task.yaml": TASK[2]}),
        Parser("manifest", "out/manifest.json", lambda at: _manifest(at / "out"), (manifest,), json_tree,
               {"out/x.npy": array}, _seal_manifest),
        Parser("vocabulary", "vocabulary.json", _vocabulary, (vocabulary,), json_tree, seal=_seal_vocabulary),
        Parser("config of a model", "config.json", _model, (config,), json_tree, {"model.safetensors": weights},
               _seal_config, 0.5),
        Parser("weights of a model", "model.safetensors", _model, (weights,), beside={"config.json": config},
               seal=_seal_weights, share=0.5),
        Parser("ancestry model", "ancestry_model.npz", _ancestry,
               tuple(_made(_write_ancestry, "ancestry_model.npz"))),
        Parser("array of tokens", "tokens.npy", _array, tuple(_made(_write_array, "tokens.npy"))),
    ]  # fmt: skip


def _in(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"omop/{name}": content for name, content in files.items()}
