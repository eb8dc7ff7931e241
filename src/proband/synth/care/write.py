"""The files of a biobank: OMOP tables, PLINK 2 genotypes, PGS Catalog scoring files, the task."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from proband.synth.care import concepts
from proband.synth.care.cdm import CDM
from proband.synth.care.records import SUPPLY_DAYS
from proband.synth.genomes.scores import Score
from proband.synth.lives.lives import NEVER, Lives
from proband.synth.traits import DISEASES

_VOCABULARY_START, _VOCABULARY_END = date(1970, 1, 1), date(2099, 12, 31)
_EVENTS = {
    "condition": ("condition_occurrence", "condition_start"),
    "drug": ("drug_exposure", "drug_exposure_start"),
    "procedure": ("procedure_occurrence", "procedure"),
    "measurement": ("measurement", "measurement"),
    "observation": ("observation", "observation"),
}
"""Kind of record to its CDM table and the stem of its time columns."""


def write_omop(
    folder: Path, lives: Lives, subject_id: np.ndarray, records: dict[str, pl.DataFrame], end: date
) -> dict[str, int]:
    """Write the CDM tables as Parquet; returns rows per table."""
    folder.mkdir()
    ids = pl.DataFrame({"subject": np.arange(len(subject_id)), "person_id": subject_id})
    visits = records["visit"].join(ids, on="subject").with_row_index("visit_occurrence_id", 1)
    tables = {
        "person": _person(lives, subject_id),
        "observation_period": _observation_period(lives, subject_id),
        "visit_occurrence": _visit_table(visits),
        "death": _death(lives, subject_id),
        "concept": _concept(),
        "concept_ancestor": _concept_ancestor(),
        "vocabulary": _vocabulary(),
        "cdm_source": _cdm_source(end),
    }
    visit_of = visits.select("subject", "time", pl.col("visit_occurrence_id").cast(pl.Int64))
    for kind, (table, stem) in _EVENTS.items():
        rows = records[kind].join(ids, on="subject").join(visit_of, on=["subject", "time"], how="left")
        tables[table] = _event_table(rows.sort("subject", "time", "concept_id"), kind, table, stem)
    for name, frame in tables.items():
        _complete(frame, name).write_parquet(folder / f"{name}.parquet", compression="zstd")
    return {f"num_{name}": frame.height for name, frame in tables.items()}


def _complete(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """``frame`` with every column of its CDM table, in order and type."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in CDM[table].items()
    )


def _times(values: np.ndarray) -> pl.Series:
    return pl.Series(values).cast(pl.Datetime("us"))


def _person(lives: Lives, subject_id: np.ndarray) -> pl.DataFrame:
    birth = _times(lives.birth)
    return pl.DataFrame(
        {
            "person_id": subject_id,
            "gender_concept_id": np.where(lives.people.male, concepts.MALE, concepts.FEMALE),
            "year_of_birth": birth.dt.year(),
            "month_of_birth": birth.dt.month(),
            "day_of_birth": birth.dt.day(),
            "birth_datetime": birth,
            "race_concept_id": 0,
            "ethnicity_concept_id": 0,
            "person_source_value": subject_id.astype(str),
            "gender_source_value": np.where(lives.people.male, "M", "F"),
        }
    )


def _observation_period(lives: Lives, subject_id: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "observation_period_id": np.arange(1, len(subject_id) + 1),
            "person_id": subject_id,
            "observation_period_start_date": _times(lives.entry).dt.date(),
            "observation_period_end_date": _times(lives.exit).dt.date(),
            "period_type_concept_id": concepts.FROM_EHR,
        }
    )


def _visit_table(visits: pl.DataFrame) -> pl.DataFrame:
    return visits.select(
        "visit_occurrence_id",
        "person_id",
        visit_concept_id="concept_id",
        visit_start_date=pl.col("time").dt.date(),
        visit_start_datetime="time",
        visit_end_date=pl.col("end").dt.date(),
        visit_end_datetime="end",
        visit_type_concept_id=pl.lit(concepts.FROM_EHR),
    )


def _event_table(rows: pl.DataFrame, kind: str, table: str, stem: str) -> pl.DataFrame:
    columns: dict[str, Any] = {
        f"{table}_id": pl.int_range(1, pl.len() + 1),
        "person_id": pl.col("person_id"),
        f"{kind}_concept_id": pl.col("concept_id"),
        f"{stem}_date": pl.col("time").dt.date(),
        f"{stem}_datetime": pl.col("time"),
        f"{kind}_type_concept_id": pl.lit(concepts.FROM_EHR),
        "visit_occurrence_id": pl.col("visit_occurrence_id"),
    }
    if kind == "measurement":
        columns |= {"value_as_number": pl.col("value"), "unit_concept_id": pl.col("unit_concept_id")}
    if kind == "drug":
        columns |= {
            "drug_exposure_end_date": pl.col("time").dt.date() + pl.duration(days=SUPPLY_DAYS),
            "days_supply": pl.lit(SUPPLY_DAYS),
        }
    return rows.select(**columns)


def _death(lives: Lives, subject_id: np.ndarray) -> pl.DataFrame:
    dead = lives.death < NEVER
    time = _times(lives.death[dead])
    return pl.DataFrame(
        {
            "person_id": subject_id[dead],
            "death_date": time.dt.date(),
            "death_datetime": time,
            "death_type_concept_id": concepts.FROM_EHR,
        }
    )


def _concept() -> pl.DataFrame:
    return concepts.concept_table().with_columns(
        standard_concept=pl.when(pl.col("concept_id") != 0).then(pl.lit("S")),
        valid_start_date=pl.lit(_VOCABULARY_START),
        valid_end_date=pl.lit(_VOCABULARY_END),
    )


def _concept_ancestor() -> pl.DataFrame:
    # In OMOP every concept is its own ancestor at distance 0.
    own = [(int(concept), int(concept), 0) for concept in concepts.concept_table()["concept_id"] if concept]
    names = ["ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"]
    frame = pl.DataFrame([*own, *concepts.ANCESTORS], schema=names, orient="row")
    return frame.with_columns(max_levels_of_separation="min_levels_of_separation")


def _vocabulary() -> pl.DataFrame:
    names = concepts.concept_table()["vocabulary_id"].unique().sort()
    return pl.DataFrame(
        {
            "vocabulary_id": names,
            "vocabulary_name": names,
            "vocabulary_version": "excerpt",
            "vocabulary_concept_id": 0,
        }
    )


def _cdm_source(end: date) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "cdm_source_name": ["Synthetic biobank"],
            "cdm_source_abbreviation": ["synth"],
            "cdm_holder": ["proband"],
            "source_description": ["Simulated people; no real person's record is here."],
            "source_release_date": [end],
            "cdm_release_date": [end],
            "cdm_version": ["5.4"],
            "cdm_version_concept_id": [0],
            "vocabulary_version": ["excerpt"],
        }
    )


def write_genotypes(
    folder: Path, calls: np.ndarray, variants: pl.DataFrame, sample_id: np.ndarray, male: np.ndarray
) -> None:
    """Write biobank.pgen, .pvar and .psam.

    Args:
        folder: Made here.
        calls: int8 (variants, samples), -9 missing.
        variants: chrom, pos, ref, alt of the rows of ``calls``.
        sample_id: IID of its columns.
        male: Sex of its columns.
    """
    import pgenlib

    folder.mkdir()
    path = folder / "biobank.pgen"
    with pgenlib.PgenWriter(
        str(path).encode(), calls.shape[1], variant_ct=calls.shape[0], nonref_flags=False
    ) as writer:
        writer.append_biallelic_batch(np.ascontiguousarray(calls))
    chrom_pos = pl.concat_str([pl.col("chrom"), pl.col("pos"), pl.col("ref"), pl.col("alt")], separator=":")
    pvar = variants.select(
        pl.col("chrom").alias("#CHROM"), pl.col("pos").alias("POS"), chrom_pos.alias("ID"),
        pl.col("ref").alias("REF"), pl.col("alt").alias("ALT"),
    )  # fmt: skip
    pvar.write_csv(folder / "biobank.pvar", separator="\t")
    psam = pl.DataFrame({"#IID": sample_id, "SEX": np.where(male, 1, 2)})
    psam.write_csv(folder / "biobank.psam", separator="\t")


def write_scorefiles(folder: Path, scores: Iterable[Score]) -> None:
    """Write one harmonised PGS Catalog file (format 2.0, GRCh38) per score, byte for byte reproducible."""
    folder.mkdir()
    for score in scores:
        content = _score_header(score) + score.rows.write_csv(separator="\t")
        # Neither name nor time goes into the gzip header: the same seed gives the same bytes.
        packed = gzip.compress(content.encode(), compresslevel=4, mtime=0)
        (folder / f"{score.pgs_id}_hmPOS_GRCh38.txt.gz").write_bytes(packed)


def _score_header(score: Score) -> str:
    return (
        "###PGS CATALOG SCORING FILE - synthetic, made by proband synth\n"
        "#format_version=2.0\n##POLYGENIC SCORE (PGS) INFORMATION\n"
        f"#pgs_id={score.pgs_id}\n#pgs_name={score.name}\n#trait_reported={score.label}\n"
        f"#trait_mapped={score.label}\n#trait_efo=NR\n#genome_build=GRCh38\n#variants_number={score.rows.height}\n"
        "#weight_type=beta\n##SOURCE INFORMATION\n#pgp_id=NR\n#citation=Simulated; no publication\n"
        "##HARMONIZATION DETAILS\n#HmPOS_build=GRCh38\n#HmPOS_date=NR\n"
        '#HmPOS_match_chr={"True": null, "False": null}\n#HmPOS_match_pos={"True": null, "False": null}\n'
    )


def write_task(path: Path, landmark_years: int, horizons: tuple[int, ...]) -> None:
    """Write the task that the true risks answer: every disease, from a fixed time after entry."""
    task = {
        "outcomes": {
            disease.name: {"codes": [concepts.meds_code(disease.concept_id)]} for disease in DISEASES
        },
        "prediction": {"years_after_entry": landmark_years},
        "horizons_years": list(horizons),
        "washout_years": 0,
        "gap_days": 0,
    }
    path.write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
