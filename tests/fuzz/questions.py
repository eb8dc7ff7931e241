"""Parsers of what is asked of a trained model: of whom, when, what if; and of what answers are named by."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from fuzz.parsers import Parser
from fuzz.seeds import packed
from fuzz.strategies import json_tree, parquet, table, yaml_tree
from small_world import HandStore, Record

SCENARIO = (
    b"scenarios:\n"
    b"  never: {changes: [{remove: {prefixes: [ICD10CM//E11], days_before: 365}}]}\n"
    b"  other: {subjects: [1, 2], changes: [{add: {code: LAB//1, value: 7.5, unit: g, date: 2015-01-01}}]}\n"
    b"  lower: {changes: [{shift: {code: LAB//1, by: -1}}, {genome: {score: PGS1, percentile: 90}}]}\n"
    b"  alone: {changes: [{genome: {absent: true}}, {genome: {subject: 3}}]}\n"
)
PUBLISHED = (
    b"outcome\tlog_hazard_ratio\tscore\tstandard_error\tsource\nT2D\t0.5\tPGS1\t0.01\tx\nCAD\t0.2\t\t\t\n"
)
DATES = b"subject_id,prediction_time\n1,2015-03-31\n"
GIVEN = b"subject_id,prediction_time,boolean_value\n1,2015-03-31,true\n2,2015-03-31T10:00:00Z,0\n"
SCORES = json.dumps({"PGS1": {"name": "a", "trait": "b"}, "PGS2": {"num_variants": 3}}).encode()
LOG = b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25, "tuning": {"when": 1.0}}\n'


def asked() -> list[Parser]:
    """All of them."""
    store = HandStore([Record([2], [10], exit=20), Record([3], [5], exit=30)])
    return [
        Parser("scenario", "scenario.yaml", scenario, SCENARIO_SEEDS, yaml_tree),
        Parser("list of subjects", "who.txt", subjects(store), (b"100\n101\n", b"subject_id\n100\n"), table),
        Parser("dates", "dates.csv", dates("dates.csv"), (DATES,), table),
        Parser("dates, Parquet", "dates.parquet", dates("dates.parquet"), (packed(_dates()),), parquet),
        Parser("labels given", "given.csv", given("given.csv"), (GIVEN,), table),
        Parser("labels given, Parquet", "l.parquet", given("l.parquet"), (packed(_given()),), parquet),
        Parser("published effects", "p.tsv", published("p.tsv"), (PUBLISHED,), table),
        Parser("published, Parquet", "p.parquet", published("p.parquet"), (packed(_effects()),), parquet),
        Parser("names of codes", "codes.parquet", code_names, (packed(_codes()),), parquet),
        Parser("names of scores", "scores.json", score_names, (SCORES,), json_tree),
        Parser("modality", "pcs.parquet", modality(store), (packed(_pcs()), packed(_ages())), parquet),
        Parser("kinship, Parquet", "kin.parquet", kinship, (packed(_pairs()),), parquet),
        Parser("list of samples", "keep.txt", keep, (b"#FID IID\nf 1\nf 2\n", b"1\n2\n"), table),
        Parser("subjects of trajectories", "t.parquet", trajectories, (packed(_paths()),), parquet),
        Parser("log of a training", "metrics.jsonl", training_log, (LOG,)),
    ]  # fmt: skip


SCENARIO_SEEDS = (SCENARIO, b"scenarios: {a: {changes: [{remove: {codes: A//1}}]}}\n")
_AT = datetime(2010, 1, 1)


def _dates() -> pl.DataFrame:
    return pl.DataFrame({"subject_id": [1, 2], "prediction_time": [_AT, _AT]})


def _given() -> pl.DataFrame:
    return _dates().with_columns(boolean_value=pl.Series([True, False]))


def _effects() -> pl.DataFrame:
    return pl.DataFrame({"outcome": ["T2D", "CAD"], "log_hazard_ratio": [0.5, 0.2], "source": ["x", None]})


def _codes() -> pl.DataFrame:
    return pl.DataFrame({"code": ["A//1", "B//1"], "description": ["a", None], "parent_codes": [["A"], None]})


def _pcs() -> pl.DataFrame:
    return pl.DataFrame({"subject_id": [100, 101], "PC1": [0.5, None], "label": ["a", "b"]})


def _ages() -> pl.DataFrame:
    return pl.DataFrame({"subject_id": [100, 100], "age_years": [1.0, 2.0], "value": [0.5, 1.5]})


def _pairs() -> pl.DataFrame:
    return pl.DataFrame({"IID1": ["1", "3"], "IID2": ["2", "4"], "KINSHIP": [0.25, 0.1]})


def _paths() -> pl.DataFrame:
    from proband.core.schema import TRAJECTORIES

    values: dict[Any, list[Any]] = {pl.String: ["a", "b"], pl.Boolean: [True, False]}
    columns = {
        name: pl.Series(
            [_AT, _AT] if isinstance(dtype, pl.Datetime) else values.get(dtype, [1, 2]), dtype=dtype
        )
        for name, dtype in TRAJECTORIES.columns.items()
    }
    return pl.DataFrame(columns)


def scenario(folder: Path) -> Any:
    from proband.forecast.scenario.file import load_scenarios

    return load_scenarios(folder / "scenario.yaml").scenarios


def subjects(store: HandStore) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from proband.tokens.history.subjects import subject_rows

        return subject_rows(folder / "who.txt", store)

    return read


def dates(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from proband.ehr.task.dates import read_subject_dates

        return read_subject_dates(folder / name)

    return read


def given(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from proband.ehr.task.labelled import read_labels

        return read_labels(folder / name)

    return read


def published(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from proband.explain.alignment.published import published_frame, read_published

        own = pl.DataFrame({"outcome": ["T2D"], "score": ["PGS1"]})
        return published_frame(read_published(folder / name, ["T2D", "CAD"]), own)

    return read


def code_names(folder: Path) -> Any:
    from proband.explain.inputs import read_names

    return read_names(None, folder / "codes.parquet")


def score_names(folder: Path) -> Any:
    from proband.explain.inputs import read_names

    return read_names(folder, None)


def modality(store: HandStore) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from proband.tokens.modalities.modality import load_modality

        return load_modality("pcs", folder / "pcs.parquet", store).observed

    return read


def kinship(folder: Path) -> Any:
    from proband.core.text.kinshiptable import read_kinship_table

    return read_kinship_table(folder / "kin.parquet")


def keep(folder: Path) -> Any:
    from proband.genome.genotypes.keep import _read_names

    return _read_names(folder / "keep.txt")


def trajectories(folder: Path) -> Any:
    from proband.core.schema import TRAJECTORIES

    return TRAJECTORIES.read(folder / "t.parquet")


def training_log(folder: Path) -> Any:
    from proband.train.log import read_metrics

    return [line.get("loss") for line in read_metrics(folder)]
