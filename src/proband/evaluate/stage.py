"""The stage: RiskTables and records in, results out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from proband.core.config import validated
from proband.core.errors import ConfigError, DataError
from proband.core.progress import say, track
from proband.core.provenance import StageRun, is_finished, stage_output
from proband.core.schema import LABELS, RISK, SPLITS
from proband.core.seeds import generator
from proband.ehr.labels import labels as label_all
from proband.ehr.outcomes import Task, save_task, task_files
from proband.evaluate.baselines.fit import fit_baselines
from proband.evaluate.cohort import cohort_frame, with_age_and_sex
from proband.evaluate.deciles import choose_score, decile_frame
from proband.evaluate.frames import risk_set_frames
from proband.evaluate.inputs import (
    TASK_FILE,
    Scores,
    read_already_begun,
    read_risks,
    read_scores,
    read_subjects,
    read_task,
    truth_file,
)
from proband.evaluate.metrics.replicates import RiskSet
from proband.evaluate.tables import TABLES

_ROW = ["subject_id", "prediction_time", "outcome"]


class EvaluateConfig(BaseModel):
    """What an evaluation is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    risks: tuple[str, ...] = Field(
        min_length=1, description="Forecast folders or RiskTable files, in order shown."
    )
    meds: str = Field(description="MEDS folder of the same subjects.")
    genome: str | None = Field(None, description="Genome folder, for the PGS baselines and deciles.")
    tokens: str | None = Field(None, description="Tokens folder of the same subjects, for LightGBM.")
    truth: str | None = Field(None, description="Truth folder of a synthetic biobank.")
    task: str | None = Field(None, description="Task file; default that of the forecast folders.")
    baselines: bool = Field(True, description="Fit the baselines on train and judge them beside.")
    bootstrap: int = Field(500, ge=0, le=100_000, description="Bootstrap replicates; 0 for no intervals.")
    split: str = Field("held_out", description="Split that is judged: train, tuning or held_out.")
    seed: int = Field(0, ge=0, description="Seed of resamples and folds.")


def evaluate(
    risks: Sequence[Path],
    meds: Path,
    out: Path,
    *,
    genome: Path | None = None,
    tokens: Path | None = None,
    truth: Path | None = None,
    baselines: bool = True,
    bootstrap: int = 500,
    split: str = "held_out",
    seed: int = 0,
    task: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Judge one or several models on the same subjects, with baselines beside.

    Args:
        risks: Forecast folders, or RiskTable files (then with ``task``).
        meds: MEDS folder.
        out: Results folder.
        genome: Genome folder; adds the PGS baselines and risk by PGS decile.
        tokens: Tokens folder of the same subjects; adds gradient boosting on the record summary.
        truth: Truth folder of a synthetic biobank; default the folder of a RiskTable file that has one. The
            results then tell what share of the cases had already begun.
        baselines: Fit age-sex incidence, (with tokens) gradient boosting on records and (with a genome) PGS
            logistic regression on train.
        bootstrap: Bootstrap replicates over subjects.
        split: The split judged.
        seed: Seed of resamples and folds.
        task: Task file, if no input brings one.
        overwrite: Replace what is in ``out``.

    Raises:
        ConfigError: No task, different tasks, a model name used twice, an option out of its bounds.
        DataError: An input is unusable, or no subject is common to all.
    """
    config = validated(
        EvaluateConfig,
        risks=tuple(map(str, risks)),
        meds=str(meds),
        genome=None if genome is None else str(genome),
        tokens=None if tokens is None else str(tokens),
        truth=None if truth is None else str(truth),
        task=None if task is None else str(task),
        baselines=baselines,
        bootstrap=bootstrap,
        split=_known_split(split),
        seed=seed,
    )
    begun = truth_file(risks, truth)
    inputs = [
        *risks,
        meds,
        *(path for path in (genome, tokens, begun) if path is not None),
        *([] if task is None else task_files(task)),
    ]
    if is_finished(out, "evaluate", config, overwrite, inputs):
        return
    described = read_task(risks, task)
    given = read_risks(risks, described, baselines)
    scores = None if genome is None else read_scores(genome)
    with stage_output(out, stage="evaluate", config=config, inputs=inputs, seed=seed) as run:
        _judge(run, config, described, given, scores, begun)


def _known_split(split: str) -> str:
    if split not in SPLITS:
        raise ConfigError(
            "unknown split", where="--split", found=split, expected=f"one of {', '.join(SPLITS)}"
        )
    return split


def _judge(
    run: StageRun,
    config: EvaluateConfig,
    task: Task,
    given: pl.DataFrame,
    scores: Scores | None,
    begun: Path | None,
) -> None:
    """Write every file of the results folder."""
    meds = Path(config.meds)
    labels = label_all(meds, task)
    judged = labels.filter(split=config.split)
    if judged.is_empty():
        raise DataError(
            f"no subject at risk in split {config.split}",
            where=meds,
            remedy="name another --split, or a task that predicts within follow-up",
        )
    subjects = read_subjects(meds)
    num_female, num_male = (int((subjects["female"] == sex).sum()) for sex in (1, 0))
    say(f"evaluate: sex recorded of {num_female:,} female, {num_male:,} male of {subjects.height:,} subjects")
    rows = with_age_and_sex(labels, subjects)
    matched = given.join(judged.select(_ROW), on=_ROW, how="semi")
    if matched.is_empty():
        raise DataError(
            "no common subjects",
            where=", ".join(config.risks),
            found=f"no (subject_id, prediction_time, outcome) of the {config.split} labels",
            remedy="forecast this split of these data with the same task",
        )
    models = given["model"].unique(maintain_order=True).to_list()
    extra = _baselines(run, config, task, rows, scores) if config.baselines else RISK.empty()
    models += extra["model"].unique(maintain_order=True).to_list()
    frames = _frames(matched, extra, judged, models, config)
    frames["cohort"].append(cohort_frame(rows, None if scores is None else scores.frame["subject_id"]))
    frames["deciles"] += [] if scores is None else list(_deciles(labels, judged, scores, matched, config))
    frames["already_begun"] += [] if begun is None else [read_already_begun(begun, task)]
    for name, table in TABLES.items():
        table.write(pl.concat([table.empty(), *frames[name]]), run.folder / f"{name}.parquet")
    LABELS.write(labels, run.folder / "labels.parquet")
    save_task(task, run.folder / TASK_FILE)
    run.counts |= {
        "num_models": len(models),
        "num_risks": given.height,
        "num_risks_without_label": given.height - matched.height,
        "num_subjects": matched["subject_id"].n_unique(),
    }
    run.notes["models"] = models


def _baselines(
    run: StageRun, config: EvaluateConfig, task: Task, rows: pl.DataFrame, scores: Scores | None
) -> pl.DataFrame:
    """Fit on train, predict the judged split, keep the RiskTables and the seconds of CPU that each took."""
    wanted = rows.filter(split=config.split)
    if scores is not None:
        asked = wanted["subject_id"].unique()
        run.counts["num_subjects_without_genome"] = int(
            (~asked.is_in(scores.frame["subject_id"].to_list())).sum()
        )
    tokens = None if config.tokens is None else Path(config.tokens)
    (run.folder / "baselines").mkdir()
    found, seconds = [], {}
    start = time.process_time()
    for name, frame in fit_baselines(Path(config.meds), task, rows, wanted, tokens, scores, config.seed):
        RISK.write(frame, run.folder / "baselines" / f"{name}.parquet")
        found.append(frame)
        seconds[name] = round(time.process_time() - start, 1)
        start = time.process_time()
    run.notes["baseline_cpu_seconds"] = seconds
    return pl.concat(found)


def _frames(
    risks: pl.DataFrame, extra: pl.DataFrame, labels: pl.DataFrame, models: list[str], config: EvaluateConfig
) -> defaultdict[str, list[pl.DataFrame]]:
    """The rows of all tables, by outcome and horizon."""
    frames: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
    for risk_set in track(list(_risk_sets(risks, extra, labels, models)), "Evaluating"):
        rng = generator(config.seed, "bootstrap", risk_set.outcome, risk_set.horizon_years)
        for name, frame in risk_set_frames(risk_set, config.bootstrap, rng).items():
            frames[name].append(frame)
    return frames


def _risk_sets(
    risks: pl.DataFrame, extra: pl.DataFrame, labels: pl.DataFrame, models: list[str]
) -> Iterator[RiskSet]:
    """One per outcome and horizon of ``risks``, on the rows that every model there predicts.

    ``extra`` (the baselines) joins where ``risks`` has something to compare with.
    """
    both = pl.concat([risks, extra])
    for outcome, horizon in risks.select("outcome", "horizon_years").unique().sort(pl.all()).rows():
        here = both.filter(outcome=outcome, horizon_years=horizon)
        present = [model for model in models if model in set(here["model"])]
        rows = labels.filter(outcome=outcome)
        for model in present:
            one = here.filter(model=model).select(*_ROW, pl.col("risk").alias(f"risk {model}"))
            rows = rows.join(one, on=_ROW, maintain_order="left")
        if rows.is_empty():
            raise DataError(
                "no common subjects",
                where=f"{outcome}, {horizon:g} years",
                found=", ".join(present),
                remedy="forecast the same subjects with each model",
            )
        # summed in NumPy: polars' threaded mean may differ in the last digit from run to run
        shares = here.group_by("model").agg("unresolved").rows()
        unresolved = {model: float(np.mean(values)) for model, values in shares}
        yield RiskSet(
            outcome,
            horizon,
            rows["subject_id"].to_numpy(),
            rows["time_years"].to_numpy(),
            rows["event"].to_numpy(),
            {model: rows[f"risk {model}"].to_numpy() for model in present},
            unresolved,
        )


def _deciles(
    labels: pl.DataFrame, judged: pl.DataFrame, scores: Scores, risks: pl.DataFrame, config: EvaluateConfig
) -> Iterator[pl.DataFrame]:
    """Observed risk by decile of each outcome's score."""
    for outcome in risks["outcome"].unique().sort():
        train = labels.filter(outcome=outcome, split="train")
        chosen = choose_score(outcome, train, scores.frame, scores.described)
        if chosen is None:
            continue
        rows = judged.filter(outcome=outcome)
        for horizon in risks.filter(outcome=outcome)["horizon_years"].unique().sort():
            rng = generator(config.seed, "deciles", outcome, horizon)
            yield decile_frame(rows, chosen, scores.frame, horizon, config.bootstrap, rng)
