"""Reading the inputs of an evaluation: RiskTables, the task they share, sex and birth, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import ConfigError, DataError, near_matches
from proband.core.files.jsonfiles import read_objects
from proband.core.files.manifest import check_stage, manifest_if_any
from proband.core.running.progress import say
from proband.core.schema import PCS, RISK, SCORES, scores_file
from proband.core.sex import female_of
from proband.ehr.cohort import read_shards
from proband.ehr.meds.dataset import EXIT
from proband.ehr.outcomes import Task, load_task
from proband.evaluate.baselines.registry import model_names
from proband.evaluate.baselines.scores.pgs_logistic import fit_standardiser
from proband.evaluate.choices import BASELINES
from proband.evaluate.config import ALL, NONE
from proband.evaluate.selection.risk_sets import ROW
from proband.evaluate.tables import ALREADY_BEGUN

RISK_FILE, TASK_FILE = "risk.parquet", "task.yaml"
COMPONENTS_FILE = "pcs.parquet"
ALREADY_BEGUN_FILE = "already_begun.parquet"


def check_no_baseline(risks: Sequence[Path]) -> None:
    """Refuse the name of a baseline among the RiskTables, where it stands when names follow an option.

    Raises:
        DataError: There is no such file or folder.
    """
    for path in risks:
        if str(path) in (ALL, NONE, *BASELINES) and not path.exists():
            raise DataError(
                "missing file", where=path, expected="a forecast folder or a RiskTable file",
                remedy=f"if the baseline is meant, write names with commas: --baselines age_sex,{path}"
                if str(path) in BASELINES else f"if the baselines are meant, write --baselines {path}",
            )  # fmt: skip


def read_task(risks: Sequence[Path], task: Path | None) -> Task:
    """The one task of all inputs.

    Args:
        risks: Forecast folders (with their task), folders of the oracle or RiskTable files.
        task: A task file, needed if no input is a forecast folder.

    Raises:
        DataError: There is no such file or folder.
        ConfigError: No task is given, or two inputs were made for different tasks.
    """
    if absent := [path for path in risks if not path.exists()]:
        raise DataError(
            "missing file", where=absent[0], expected="a forecast folder or a RiskTable file",
            remedy="forecast first, or check the path",
        )  # fmt: skip
    found = [path / TASK_FILE for path in risks if path.is_dir() and not _is_oracle(path)]
    found += [task] if task is not None else []
    if not found:
        raise ConfigError("no task", where=", ".join(map(str, risks)), remedy="pass --task TASK.yaml")
    first = load_task(found[0])
    for other in found[1:]:
        if load_task(other) != first:
            raise ConfigError(
                "risks of different tasks",
                where=other,
                expected=f"the task of {found[0]}",
                remedy="forecast both with the same task file",
            )
    return first


def read_risks(risks: Sequence[Path], task: Task, with_baselines: bool) -> pl.DataFrame:
    """All RiskTables stacked, models in the order given.

    Args:
        risks: Forecast folders, folders of the oracle or RiskTable files.
        task: The task; every outcome of the tables must be one of its. A folder of the oracle, which answers
            for all diseases, is read for those of the task.
        with_baselines: Whether the baselines' names are taken.

    Raises:
        DataError: A table is unusable or has an unknown outcome.
        ConfigError: Two inputs use one model name.
    """
    taken: dict[str, Path] = {}
    frames = []
    for given in risks:
        path = risk_file(given)
        frame = RISK.read(path).select(*RISK.columns)
        if _is_oracle(given):
            frame = frame.filter(pl.col("outcome").is_in(list(task.outcomes)))
            if frame.is_empty():
                remedy = "give the task whose outcomes are diseases of the biobank, by their names"
                raise DataError("the oracle answers for none of these outcomes", where=path, remedy=remedy)
        if frame.is_empty():
            raise DataError("RiskTable: no rows", where=path, remedy="forecast again")
        _check_outcomes(frame, task, path)
        _say_horizons(frame, task, path)
        for model in frame["model"].unique(maintain_order=True):
            if model in taken or (with_baselines and model in model_names()):
                where = f"{taken[model]} and {path}" if model in taken else path
                remedy = "give each its own --name when forecasting"
                raise ConfigError(f"the model name {model} is used twice", where=where, remedy=remedy)
            taken[model] = path
        frames.append(frame)
    return pl.concat(frames)


def errors_of_fit(risks: Sequence[Path]) -> dict[str, float]:
    """Median error of the fit as a share of the risk, at the longest horizon, of each model that has it.

    Args:
        risks: As of :func:`read_risks`, which has checked them.
    """
    found: dict[str, float] = {}
    for path in map(risk_file, risks):
        table = pl.scan_parquet(path)
        if "fit_error" in table.collect_schema():
            known = table.filter(pl.col("risk") > 0).drop_nulls("fit_error")
            known = known.filter(pl.col("horizon_years") == pl.col("horizon_years").max())
            share = (pl.col("fit_error") / pl.col("risk")).median()
            found |= dict(known.group_by("model", maintain_order=True).agg(share).collect().iter_rows())
    return found


def risk_file(given: Path) -> Path:
    """The RiskTable of a folder of forecast or the oracle, or the file itself.

    Raises:
        DataError: The folder is of another stage.
    """
    check_stage(given, ("forecast", "oracle"))
    return given / RISK_FILE if given.is_dir() else given


def _is_oracle(given: Path) -> bool:
    """Whether a folder is that of ``proband oracle``, which has no task of its own."""
    return given.is_dir() and manifest_if_any(given).get("stage") == "oracle"


def _check_outcomes(frame: pl.DataFrame, task: Task, where: Path) -> None:
    for outcome in frame["outcome"].unique(maintain_order=True):
        if outcome not in task.outcomes:
            known = ", ".join(task.outcomes)
            remedy = near_matches(outcome, task.outcomes) or "forecast with this task"
            raise DataError(
                f"unknown outcome {outcome}", where=where, expected=f"one of {known}", remedy=remedy
            )


def _say_horizons(frame: pl.DataFrame, task: Task, where: Path) -> None:
    """Say which horizons of the task a RiskTable lacks, and which of its own the task does not name."""
    has, wanted = set(frame["horizon_years"]), set(task.horizons_years)
    for what, horizons in (
        ("no risk by", wanted - has),
        ("risks, judged as they are, by a horizon that the task does not name:", has - wanted),
    ):
        if horizons:
            years = ", ".join(f"{one:g}" for one in sorted(horizons))
            say(f"evaluate: {where} has {what} {years} years")


def read_subjects(meds: Path) -> pl.DataFrame:
    """Sex and birth of all subjects, and whether their follow-up has an end.

    Returns:
        subject_id, split, birth_time, female (1 female, 0 male, null not recorded) and has_end (whether an
        observation period ends: follow-up of the others ends with their last event), one row each.
    """
    frames = []
    for events, spans in read_shards(meds):
        sex_by_code = {
            code: value for code in events["code"].unique() if (value := female_of(code)) is not None
        }
        female = pl.col("code").replace_strict(
            sex_by_code or {"": 0.0}, default=None, return_dtype=pl.Float64
        )
        sexed = events.lazy().filter(pl.col("code").is_in(list(sex_by_code)))
        sex = sexed.group_by("subject_id").agg(female.first().alias("female")).collect()
        ended = events.filter(pl.col("code") == EXIT)["subject_id"].unique()
        has_end = pl.col("subject_id").is_in(ended.implode()).alias("has_end")
        frames.append(spans.join(sex, on="subject_id", how="left").with_columns(has_end))
    columns = ["subject_id", "split", "birth_time", "female", "has_end"]
    return pl.concat(frames).select(columns).sort("subject_id")


@dataclass(frozen=True)
class Scores:
    """Polygenic scores.

    Attributes:
        frame: A frame of :data:`proband.core.schema.SCORES`.
        described: pgs_id -> its entry in scores.json.
    """

    frame: pl.DataFrame
    described: dict[str, dict]


def read_scores(genome: Path) -> Scores:
    """The scores of a genome folder and what is known of each."""
    check_stage(genome, "genome")
    described = read_objects(genome / "scores.json")
    scores = SCORES.read(scores_file(genome))
    return Scores(scores, {name: described.get(name, {}) for name in scores.columns if name != "subject_id"})


def check_scores(scores: Scores, genome: Path, subjects: pl.DataFrame, with_baselines: bool) -> None:
    """Refuse scores from which nothing can be learnt about these subjects.

    Args:
        scores: Of the genome folder.
        genome: The folder, for the message.
        subjects: subject_id and split.
        with_baselines: Whether some of the scores must vary, in train.

    Raises:
        DataError: Scores and subjects have nobody in common, or no score varies among train subjects.
    """
    if scores.frame.join(subjects, on="subject_id", how="semi").is_empty():
        scored, known = (frame["subject_id"].head(3).to_list() for frame in (scores.frame, subjects))
        raise DataError(
            "these scores and the records have no subject in common", where=genome,
            found=f"scored {scored}, recorded {known}", remedy="map genotype names by `genome --samples`",
        )  # fmt: skip
    train = subjects.filter(split="train")["subject_id"]
    if with_baselines and len(train) and not fit_standardiser(train, scores.frame).columns:
        found = f"{len(scores.described)} scores, all constant or missing"
        remedy = "look into match.parquet, or leave --genome out"
        raise DataError("no score varies among train subjects", where=genome, found=found, remedy=remedy)


def read_components(genome: Path) -> pl.DataFrame | None:
    """subject_id and principal components of a genome folder; None where it has none."""
    path = genome / COMPONENTS_FILE
    return PCS.read(path).drop("is_fitted") if path.is_file() else None


def read_fusion_risks(path: Path, task: Task, given: pl.DataFrame, tuning: pl.DataFrame) -> pl.DataFrame:
    """The RiskTable of the tuning split for late fusion.

    Args:
        path: Forecast folder or RiskTable file.
        task: The task.
        given: RiskTables of the judged models.
        tuning: Labels of the tuning split.

    Raises:
        DataError: It is no table of one model, or of none of those judged, or has no prediction of the tuning
            split.
    """
    frame = read_risks([path], task, with_baselines=True)
    models = frame["model"].unique().to_list()
    if len(models) != 1 or models[0] not in given["model"].unique():
        known = ", ".join(given["model"].unique(maintain_order=True))
        remedy = "forecast the tuning split (--split tuning) with one of the models judged"
        raise DataError(
            "unusable --fusion-risks",
            where=path,
            found=", ".join(sorted(models)),
            expected=known,
            remedy=remedy,
        )
    if frame.join(tuning, on=ROW, how="semi").is_empty():
        raise DataError(
            "unusable --fusion-risks",
            where=path,
            found="no prediction of the tuning split, by which late_fusion is fitted",
            remedy=f"forecast it with {models[0]} and the same task: --split tuning",
        )
    return frame


def truth_file(risks: Sequence[Path], truth: Path | None) -> Path | None:
    """Where a synthetic biobank tells how many cases had already begun.

    Args:
        risks: The inputs; in the oracle's folder, or beside its RiskTable file, lies the biobank's truth.
        truth: The biobank's truth folder, if it is given.

    Raises:
        DataError: The folder given has no such file.
    """
    if truth is not None:
        if not (truth / ALREADY_BEGUN_FILE).is_file():
            remedy = "give the truth folder of a biobank of this version of proband synth"
            raise DataError("no truth", where=truth, expected=ALREADY_BEGUN_FILE, remedy=remedy)
        return truth / ALREADY_BEGUN_FILE
    folders = [path if path.is_dir() else path.parent for path in risks]
    beside = [folder / ALREADY_BEGUN_FILE for folder in folders]
    return next((path for path in beside if path.is_file()), None)


def read_already_begun(path: Path, task: Task) -> pl.DataFrame:
    """The shares of the task's outcomes and horizons.

    Returns:
        A frame of :data:`proband.evaluate.tables.ALREADY_BEGUN`.
    """
    frame = ALREADY_BEGUN.read(path).select(*ALREADY_BEGUN.columns)
    horizons = [float(horizon) for horizon in task.horizons_years]
    return frame.filter(pl.col("outcome").is_in(list(task.outcomes)), pl.col("horizon_years").is_in(horizons))
