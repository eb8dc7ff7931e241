"""Commands on the tiny run that are refused, and what the refusals say to do: those that users meet most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

FORECAST = "forecast model tokens new --task task.yaml --genome genome"
EVALUATE = "evaluate risk --meds meds --out new --bootstrap 0 --baselines none"
TRAIN = "train tokens new --depth 1 --dim 16 --num-heads 1 --context 32 --epochs 0.01 --no-onset"


def nothing() -> None:
    """Nothing beside the tiny run is needed."""


def hand_meds(*rows: tuple[int, datetime | None, str], split: str = "") -> Callable[[], None]:
    def write() -> None:
        folder = Path("hand/data") / split
        folder.mkdir(parents=True)
        frame = pl.DataFrame(
            rows, schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String}, orient="row"
        )
        frame.with_columns(numeric_value=pl.lit(None, pl.Float32)).write_parquet(folder / "0.parquet")

    return write


def birth(subject: int) -> tuple[int, datetime, str]:
    return subject, datetime(1950, 1, 1), "MEDS_BIRTH"


def event(subject: int, year: int) -> tuple[int, datetime, str]:
    return subject, datetime(year, 5, 1), "ICD10CM//E11"


def text(name: str, content: str) -> Callable[[], None]:
    return lambda: Path(name).write_text(content) and None


def risk_table_alone() -> None:
    risks = pl.read_parquet("risk/risk.parquet")
    risks.filter(pl.col("outcome") == "hypertension").write_parquet("alone.parquet")


def other_model() -> None:
    pl.read_parquet("risk/risk.parquet").with_columns(model=pl.lit("other")).write_parquet("other.parquet")


def finished() -> None:
    from proband.ehr import ehr

    PEOPLE()
    ehr(Path("hand"), Path("new"), workers=1)


def other_tokens() -> None:
    from proband.tokens import tokens
    from proband.tokens.config import TokensConfig

    tokens(Path("meds"), Path("other"), config=TokensConfig(num_bins=5), workers=1)


def about_tuning() -> None:
    subjects = pl.read_parquet("tokens/subjects.parquet").filter(pl.col("split") == "tuning")
    chosen = subjects.filter(pl.col("exit_minutes") - pl.col("entry_minutes") > 5 * 525_960)["subject_id"][0]
    Path("what_if.yaml").write_text(
        f"scenarios: {{a: {{subjects: [{chosen}], changes: [{{genome: {{absent: true}}}}]}}}}\n"
    )


def a_task(name: str, *outcomes: str) -> Callable[[], None]:
    listed = ", ".join(outcomes)
    asked = "prediction: {years_after_entry: 2}\nhorizons_years: [1, 5, 10]\n"
    return lambda: Path(name).write_text(f"outcomes: {{{listed}}}\n{asked}") and None


def both(*steps: Callable[[], None]) -> Callable[[], None]:
    return lambda: [step() for step in steps] and None


PEOPLE = hand_meds(*(row for subject in range(1, 11) for row in (birth(subject), event(subject, 2001))))
SCENARIO = text("what_if.yaml", "scenarios: {absent: {changes: [{genome: {absent: true}}]}}\n")
HYPERTENSION = "hypertension: {codes: [SNOMED//59621000]}"
SAMPLED = "--estimator scope --paths 2 --max-events 5"


@dataclass(frozen=True)
class Case:
    """A command that is refused, and what the refusal says to do.

    Attributes:
        name: Of the case.
        command: What is refused.
        says: Part of the line on standard error.
        cures: What ends well then.
        prepare: Makes the files of the case.
    """

    name: str
    command: str
    says: str
    cures: tuple[str, ...]
    prepare: Callable[[], None] = nothing


CASES = (
    Case(
        "unsorted",
        "ehr hand new",
        "pass --sort",
        ("ehr hand new --workers 1 --sort",),
        hand_meds(birth(1), event(1, 2005), event(1, 2001)),
    ),
    Case(
        "before birth",
        "ehr hand new",
        "pass --drop-before-birth",
        ("ehr hand new --workers 1 --drop-before-birth",),
        hand_meds(event(1, 1940), birth(1), event(1, 2001)),
    ),
    Case(
        "no births",
        "ehr hand new",
        "pass --assume-birth",
        ("ehr hand new --workers 1 --assume-birth",),
        hand_meds(event(1, 2001), event(1, 2002)),
    ),
    Case(
        "overwrite",
        "ehr hand new --workers 1 --seed 5",
        "pass --overwrite",
        ("ehr hand new --workers 1 --seed 5 --overwrite",),
        finished,
    ),
    Case(
        "no shards",
        "tokens empty new",
        "run proband ehr first",
        ("ehr hand out --workers 1", "tokens out new --min-subjects 1 --workers 1"),
        both(PEOPLE, lambda: Path("empty").mkdir()),
    ),
    Case(
        "no splits",
        "tokens hand new --min-subjects 1",
        "split it first: proband ehr FOLDER OUT",
        ("ehr hand out --workers 1", "tokens out new --min-subjects 1 --workers 1"),
        PEOPLE,
    ),
    Case(
        "no train split",
        "tokens hand new",
        "give a frozen --vocabulary",
        ("tokens hand new --vocabulary model",),
        hand_meds(birth(1), event(1, 2001), split="held_out"),
    ),
    Case(
        "finished otherwise",
        "tokens meds tokens --num-bins 5",
        "choose another output folder",
        ("tokens meds new --num-bins 5 --workers 1",),
    ),
    Case("unknown option", "tokens meds new --bins 5", "see proband tokens --help", ("tokens --help",)),
    Case(
        "name of a modality",
        f"{FORECAST} --modality genome=genome/pcs.parquet",
        "give the folder by --genome",
        (FORECAST,),
    ),
    Case(
        "no genome folder",
        "forecast model tokens new --task task.yaml --genome nowhere",
        "give the output of proband genome",
        (FORECAST,),
    ),
    Case(
        "not a model",
        "forecast tokens tokens new --task task.yaml",
        "name the output folder of `proband train`",
        (FORECAST,),
    ),
    Case(
        "other vocabulary",
        "forecast model other new --task task.yaml",
        "tokenise with --vocabulary",
        ("tokens meds again --vocabulary model", "forecast model again new --task task.yaml"),
        other_tokens,
    ),
    Case(
        "no tokens",
        "forecast model other new --task task.yaml",
        "run the stage that writes it first",
        ("tokens meds other --vocabulary model", "forecast model other new --task task.yaml"),
    ),
    Case(
        "futures of a closed form",
        f"{FORECAST} --trajectories paths",
        "take a sampled estimator: --estimator scope",
        (f"{FORECAST} --trajectories paths {SAMPLED}",),
    ),
    Case(
        "history before no futures",
        f"{FORECAST} --with-history {SAMPLED}",
        "name a folder: --trajectories FOLDER",
        (f"{FORECAST} --with-history --trajectories paths {SAMPLED}",),
    ),
    Case(
        "little memory",
        f"{FORECAST} {SAMPLED} --memory 0.0001",
        "raise --memory",
        (f"{FORECAST} {SAMPLED} --memory 1",),
    ),
    Case(
        "death in a world without",
        f"{FORECAST.replace('task.yaml', 'new.yaml')} --net {SAMPLED}",
        "leave --net out",
        (f"{FORECAST.replace('task.yaml', 'new.yaml')} {SAMPLED}",),
        a_task("new.yaml", "x: {codes: [MEDS_DEATH]}"),
    ),
    Case(
        "no task of the model",
        FORECAST.replace("task.yaml", "new.yaml"),
        "--estimator scope",
        (f"{FORECAST.replace('task.yaml', 'new.yaml')} {SAMPLED}",),
        a_task("new.yaml", "x: {prefixes: [LOINC//]}"),
    ),
    Case(
        "code mistyped",
        FORECAST.replace("task.yaml", "new.yaml"),
        "did you mean SNOMED//59621000",
        (FORECAST.replace("task.yaml", "mended.yaml"),),
        both(a_task("new.yaml", "x: {codes: [SNOMED//59621001]}"), a_task("mended.yaml", HYPERTENSION)),
    ),
    Case(
        "code that nobody has",
        f"{EVALUATE.replace('risk', 'alone.parquet')} --task new.yaml",
        "set may_be_absent: true",
        (f"{EVALUATE.replace('risk', 'alone.parquet')} --task mended.yaml",),
        both(
            risk_table_alone,
            a_task("new.yaml", HYPERTENSION, "x: {codes: [QQQQ]}"),
            a_task("mended.yaml", HYPERTENSION, "x: {codes: [QQQQ], may_be_absent: true}"),
        ),
    ),
    Case(
        "genome of a scenario",
        "forecast model tokens new --task task.yaml --scenario what_if.yaml",
        "give --genome",
        (f"{FORECAST} --scenario what_if.yaml",),
        SCENARIO,
    ),
    Case(
        "subjects of another split",
        f"{FORECAST} --scenario what_if.yaml",
        "name subjects of the split (--split)",
        (f"{FORECAST} --scenario what_if.yaml --split tuning",),
        about_tuning,
    ),
    Case("device", f"{FORECAST} --device cuda", "give --device cpu or auto", (f"{FORECAST} --device auto",)),
    Case("fusion without a genome", f"{TRAIN} --fusion prefix", "give --genome or --modality", (TRAIN,)),
    Case(
        "no task",
        f"{EVALUATE.replace('risk', 'alone.parquet')}",
        "pass --task TASK.yaml",
        (f"{EVALUATE.replace('risk', 'alone.parquet')} --task task.yaml",),
        risk_table_alone,
    ),
    Case(
        "one name twice",
        EVALUATE.replace("risk", "risk alone.parquet"),
        "give each its own --name when forecasting",
        (FORECAST.replace("new", "named") + " --name other", EVALUATE.replace("risk", "risk named")),
        risk_table_alone,
    ),
    Case(
        "fusion risks",
        f"{EVALUATE} --fusion-risks other.parquet",
        "forecast the tuning split (--split tuning)",
        (FORECAST.replace("new", "tuned") + " --split tuning", f"{EVALUATE} --fusion-risks tuned"),
        other_model,
    ),
    Case(
        "results to report", "report", "proband report results/ report.html", ("report results report.html",)
    ),
    Case(
        "a page is there",
        "report results page.html",
        "pass --overwrite",
        ("report results page.html --overwrite",),
        text("page.html", "<!DOCTYPE html><title>proband: another"),
    ),
    Case(
        "check and results",
        "report results --check page.html",
        "pass --check FILE alone",
        ("report --check page.html",),
        text("page.html", "<html><body><p>1,234 people</p></body></html>"),
    ),
)
