"""Every parser of the project, with valid files of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import readers, seeds
from fuzz.strategies import json_tree, parquet, table, yaml_tree, zipped


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
        share_short: The same in ``make test``, if not the same.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    seeds: tuple[bytes, ...]
    shape: Callable | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    seal: Callable[[bytes, Path], bytes] | None = None
    share: float = 1.0
    share_short: float | None = None


def all_parsers() -> list[Parser]:
    """Every parser; the files are made once."""
    made = seeds.frames()
    (pgen,) = seeds.made_by(seeds.write_pgen, "a.pgen")
    bgen = [
        seeds.made_by(lambda folder, at=at, how=how: seeds.write_bgen(folder, at, how), "a.bgen")[0]
        for at, how in ((2, "zlib"), (2, "zstd"), (2, None), (1, "zlib"))
    ]
    indexed, index = seeds.made_by(lambda folder: seeds.write_bgen(folder, 2, "zlib"), "a.bgen", "a.bgen.bgi")
    bcf = [
        seeds.made_by(lambda folder, mode=mode: seeds.write_bcf(folder, mode), "a.bcf")[0]
        for mode in ("wb", "wbu")
    ]
    weights, config = seeds.made_by(seeds.write_model, "model.safetensors", "config.json")
    (vocabulary,) = seeds.made_by(seeds.write_vocabulary, "vocabulary.json")
    manifest, array = seeds.made_by(seeds.write_manifest, "out/manifest.json", "out/x.npy")
    pair = {"a.pvar": seeds.PVAR.replace(b"X\t7\tv2\tAC\tA\n", b"").replace(b",G", b""), "a.psam": seeds.PSAM}
    omop = {"condition_occurrence.csv": seeds.CONDITIONS, "concept.csv": seeds.CONCEPT}
    zip_of_omop = seeds.zip(person=seeds.PERSON, condition_occurrence=seeds.CONDITIONS)
    whole = omop | {"person.csv": seeds.PERSON}
    named = {"panel.csv": seeds.PANEL, "map.csv": seeds.PHECODES, "set.json": seeds.CONCEPT_SET[0]}
    bed, scoring = (
        {"a.bed": seeds.BED, "a.bim": seeds.BIM, "a.fam": seeds.FAM},
        (seeds.SCORING, seeds.SCORING_CSV, seeds.DOSED),
    )
    without = lambda name: {key: value for key, value in bed.items() if key != name}  # noqa: E731
    return [
        Parser("scoring file", "PGS1.txt", readers.scorefile("PGS1.txt"), scoring, table),
        Parser(
            "scoring file by identifiers",
            "PGS1.txt",
            readers.scorefile("PGS1.txt", True),
            (seeds.SCORING,),
            table,
        ),
        Parser(
            "scoring file, packed", "a.txt.gz", readers.scorefile("a.txt.gz"), (seeds.gzipped(seeds.SCORING),)
        ),
        Parser(
            "variant list", "list.txt", readers.variant_list, (seeds.SCORING, b"rs1\nrs2\n1:5:A:G\n"), table
        ),
        Parser("VCF", "a.vcf", readers.genotypes("a.vcf"), (seeds.VCF,), table),
        Parser("VCF, packed", "a.vcf.gz", readers.genotypes("a.vcf.gz"), (seeds.gzipped(seeds.VCF),)),
        Parser("BCF", "a.bcf", readers.genotypes("a.bcf"), tuple(bcf)),
        Parser("BGEN", "a.bgen", readers.genotypes("a.bgen"), tuple(bgen)),
        Parser("BGEN index", "a.bgen.bgi", readers.genotypes("a.bgen"), (index,), beside={"a.bgen": indexed}),
        Parser(
            "BGEN samples",
            "a.sample",
            readers.genotypes("a.bgen"),
            (seeds.SAMPLE,),
            table,
            {"a.bgen": bgen[0]},
        ),
        Parser("pgen", "a.pgen", readers.genotypes("a.pgen"), (pgen,), beside=pair),
        Parser(
            "pvar",
            "a.pvar",
            readers.genotypes("a.pgen"),
            (pair["a.pvar"],),
            table,
            {"a.pgen": pgen, "a.psam": seeds.PSAM},
        ),
        Parser(
            "psam",
            "a.psam",
            readers.genotypes("a.pgen"),
            (seeds.PSAM,),
            table,
            {"a.pgen": pgen, "a.pvar": pair["a.pvar"]},
        ),
        Parser("bim", "a.bim", readers.genotypes("a.bed"), (seeds.BIM,), table, without("a.bim")),
        Parser("fam", "a.fam", readers.genotypes("a.bed"), (seeds.FAM,), table, without("a.fam")),
        Parser("bed", "a.bed", readers.genotypes("a.bed"), (seeds.BED,), beside=without("a.bed")),
        Parser("table of samples", "map.tsv", readers.samples, (seeds.MAP,), table),
        Parser(
            "table of people",
            "people.tsv",
            readers.people,
            (b"IID\tPOP\tPC1\tPC2\na\tx\t1\t2\nb\ty\t3\t4\n",),
            table,
        ),
        Parser(
            "kinship", "kin.tsv", readers.kinship, (b"#IID1\tIID2\tKINSHIP\n1\t2\t0.25\n3\t4\t0.1\n",), table
        ),
        Parser(
            "scores, wide", "wide.sscore", readers.external("wide.sscore"), (seeds.WIDE,), table, share=0.5
        ),
        Parser("scores, long", "long.txt", readers.external("long.txt"), (seeds.LONG,), table, share=0.5),
        Parser(
            "scores, Parquet",
            "s.parquet",
            readers.external("s.parquet"),
            (made["scores"],),
            parquet,
            share=0.5,
        ),
        Parser(
            "OMOP person",
            "omop/person.csv",
            readers.ehr("omop"),
            (seeds.PERSON,),
            table,
            _in_omop(omop),
            share=0.05,
        ),
        Parser(
            "OMOP person, Parquet",
            "omop/person.parquet",
            readers.ehr("omop"),
            (made["person"],),
            parquet,
            _in_omop(omop),
            share=0.05,
        ),
        Parser(
            "OMOP events",
            "omop/condition_occurrence.csv",
            readers.ehr("omop"),
            (seeds.CONDITIONS,),
            table,
            _in_omop({"person.csv": seeds.PERSON, "concept.csv": seeds.CONCEPT}),
            share=0.05,
        ),
        *(
            Parser(
                f"OMOP {name} as text",
                f"omop/{name}.csv",
                readers.omop_tables("omop", name),
                (content,),
                table,
                _in_omop({key: value for key, value in whole.items() if key != f"{name}.csv"}),
                share_short=0.02,
            )
            for name, content in (("person", seeds.PERSON), ("condition_occurrence", seeds.CONDITIONS))
        ),
        Parser(
            "tables of OMOP person, Parquet",
            "omop/person.parquet",
            readers.omop_tables("omop", "person"),
            (made["person"],),
            parquet,
            _in_omop(omop),
            share_short=0.02,
        ),
        Parser("OMOP zip", "omop.zip", readers.ehr("omop.zip"), (zip_of_omop,), zipped, share=0.1),
        Parser(
            "tables of OMOP zip",
            "omop.zip",
            readers.omop_tables("omop.zip"),
            (zip_of_omop,),
            zipped,
            share_short=0.02,
        ),
        Parser("MEDS shard", "0.parquet", readers.shard, (made["events"],), parquet),
        Parser("splits", "metadata/subject_splits.parquet", readers.splits, (made["splits"],), parquet),
        Parser(
            "RiskTable", "risk.parquet", readers.risk, (made["risk"],), parquet, {"task.yaml": seeds.TASK[1]}
        ),
        Parser("labels", "labels.parquet", readers.labels, (made["labels"],), parquet),
        Parser("task", "task.yaml", readers.task, seeds.TASK, yaml_tree, named),
        Parser("ACES", "aces.yaml", readers.aces, seeds.ACES, yaml_tree, share=0.3),
        Parser("panel", "panel.csv", readers.task, (seeds.PANEL,), table, {"task.yaml": seeds.TASK[-1]}),
        Parser(
            "concept set",
            "set.json",
            readers.task,
            seeds.CONCEPT_SET,
            json_tree,
            {"task.yaml": seeds.TASK[2], "map.csv": seeds.PHECODES},
        ),
        Parser(
            "phecode map", "map.csv", readers.task, (seeds.PHECODES,), table, {"task.yaml": seeds.TASK[3]}
        ),
        Parser(
            "phecode map as panel",
            "map.csv",
            readers.task,
            (seeds.PHECODES,),
            table,
            {"task.yaml": seeds.TASK[4]},
        ),
        Parser(
            "manifest",
            "out/manifest.json",
            lambda at: readers.manifest(at / "out"),
            (manifest,),
            json_tree,
            {"out/x.npy": array},
            seeds.seal_manifest,
        ),
        Parser(
            "vocabulary",
            "vocabulary.json",
            readers.vocabulary,
            (vocabulary,),
            json_tree,
            seal=seeds.seal_vocabulary,
        ),
        Parser(
            "config of a model",
            "config.json",
            readers.model,
            (config,),
            json_tree,
            {"model.safetensors": weights},
            seeds.seal_config,
            0.5,
        ),
        Parser(
            "weights of a model",
            "model.safetensors",
            readers.model,
            (weights,),
            beside={"config.json": config},
            seal=seeds.seal_weights,
            share=0.5,
        ),
        Parser(
            "ancestry model",
            "ancestry_model.npz",
            readers.ancestry,
            tuple(seeds.made_by(seeds.write_ancestry, "ancestry_model.npz")),
        ),
        Parser(
            "array of tokens",
            "tokens.npy",
            readers.array,
            tuple(seeds.made_by(seeds.write_array, "tokens.npy")),
        ),
    ]


def _in_omop(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"omop/{name}": content for name, content in files.items()}
