"""``proband demo``: every stage, one after the other, on a synthetic biobank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field

from proband.cli.options import Overwrite
from proband.core.options import Option
from proband.model.config import Fusion

HEADLINE_HORIZON_YEARS = 10.0
"""The longest: at demo size, the one with cases enough to see something."""
BASELINES = ("age_sex", "lightgbm", "lightgbm_pgs", "pgs_logistic")
"""Baselines that the demo fits: it should end in ten minutes."""
BATCH_TOKENS = 1024
"""Small batches: in minutes of training, more steps lower the tuning loss more than larger ones do."""
BOOTSTRAP = 200
SPLITS = (0.65, 0.1, 0.25)
"""A larger held-out share than a real cohort needs: at demo size, cases are few."""
RECORDS, WITH_SCORES = "EHR", "EHR+PGS"


class DemoConfig(BaseModel):
    """Settings of ``proband demo``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: Annotated[int, Option()] = Field(
        7000, ge=20, le=1_000_000, description="Subjects of the biobank."
    )
    minutes: Annotated[float, Option()] = Field(
        0.4, gt=0, description="Wall-clock minutes to pretrain each model."
    )
    epochs: Annotated[float | None, Option()] = Field(
        None,
        gt=0,
        description="Passes over the data instead of minutes: the same models and risks on every run.",
    )
    fusions: Annotated[tuple[Fusion, ...], Option()] = Field(
        ("prefix",),
        min_length=1,
        description="How scores reach the trunk, repeatable: prefix, cross_attention, adapter; a model each.",
    )
    seed: Annotated[int, Option()] = Field(0, ge=0, description="Seed of everything.")


def command(
    out: Annotated[Path, typer.Argument(help="Folder for everything the demo makes.")],
    config: DemoConfig,
    overwrite: Overwrite = False,
) -> None:
    """From nothing to risks with and without the genome, in a report that opens in a browser.

    Makes a synthetic biobank (OMOP tables, genotypes, scoring files, truth), reads it as a real one, trains
    a model on records alone and one on records and polygenic scores, reads risks off their onset hazards,
    compares both with baselines (age and sex, gradient boosting) and with the oracle, and writes
    OUT/report.html. Ten minutes on two cores; a second call goes on where the first stopped.

    Example: proband demo demo/

    Example: proband demo quick/ --subjects 1500 --minutes 0.1

    Example: proband demo demo/ --fusions prefix --fusions cross_attention
    """
    demo(out, config, overwrite=overwrite)


def demo(out: Path, config: DemoConfig, *, overwrite: bool = False) -> None:
    """Run all stages into ``out``; print the headline table, what the genome added, and the report's path.

    Args:
        out: Folder for everything.
        config: Settings.
        overwrite: Make finished stages anew.
    """
    from proband.evaluate import evaluate
    from proband.evaluate.config import EvaluateConfig
    from proband.evaluate.results import format_headline, headline
    from proband.report import report

    _refuse_output(out)
    biobank, seed = out / "biobank", config.seed
    _data(out, config, overwrite)
    models = _models(config.fusions)
    length = {"minutes": config.minutes} if config.epochs is None else {"epochs": config.epochs}
    risks = [_model(out, name, fusion, length, seed, overwrite) for name, fusion in models.items()]
    evaluate(
        [*risks, biobank / "truth" / "risk.parquet"],
        out / "meds",
        out / "results",
        genome=out / "genome",
        tokens=out / "tokens",
        kinship=_kinship(out),
        config=EvaluateConfig(baselines=BASELINES, bootstrap=BOOTSTRAP, seed=seed),
        overwrite=overwrite,
    )
    page = out / "report.html"
    report(out / "results", page, overwrite=True)
    print(format_headline(headline(out / "results", HEADLINE_HORIZON_YEARS), list(models)[1:]))
    for name in list(models)[1:]:
        print("\n" + _what_genome_added(out / "results", name, len(models) > 2))
    print(f"\nThe report: {page.resolve()}")


def _refuse_output(out: Path) -> None:
    """Refuse the output of a stage: folders of the demo in it would be no part of that output.

    Raises:
        ConfigError: ``out`` is one.
    """
    from proband.core.errors import ConfigError
    from proband.core.files.manifest import MANIFEST

    if (out / MANIFEST).exists():
        remedy = "choose another output folder"
        raise ConfigError("the output folder is that of a stage", where=out, found=MANIFEST, remedy=remedy)


def _data(out: Path, config: DemoConfig, overwrite: bool) -> None:
    """A synthetic biobank, and its records, scores and tokens."""
    from proband.ehr import ehr
    from proband.ehr.config import EhrConfig
    from proband.genome import AncestryConfig, AncestryInputs, GenomeConfig, genome
    from proband.synth import synth
    from proband.synth.config import SynthConfig
    from proband.tokens import tokens
    from proband.tokens.config import TokensConfig

    biobank, seed = out / "biobank", config.seed
    synth(
        biobank, config=SynthConfig(preset="demo", subjects=config.subjects, seed=seed), overwrite=overwrite
    )
    ehr(
        biobank / "omop",
        out / "meds",
        config=EhrConfig(splits=SPLITS, seed=seed),
        kinship=_kinship(out),
        overwrite=overwrite,
    )
    genome(
        biobank / "genotypes",
        biobank / "scorefiles",
        out / "genome",
        config=GenomeConfig(ancestry=AncestryConfig(adjust=("Z_norm2",), relatives="none")),
        ancestry_inputs=AncestryInputs(reference=biobank / "reference", splits=out / "meds"),
        overwrite=overwrite,
    )
    tokens(out / "meds", out / "tokens", config=TokensConfig(min_subjects=2), overwrite=overwrite)


def _kinship(out: Path) -> Path:
    """Table of related pairs: they are in one split, and drawn as one by the bootstrap."""
    return out / "biobank" / "kinship.tsv"


def _models(fusions: Sequence[str]) -> dict[str, str]:
    """Name of each model and how scores reach its trunk."""
    names = [WITH_SCORES] if len(fusions) == 1 else [f"{WITH_SCORES} {fusion}" for fusion in fusions]
    return {RECORDS: "none"} | dict(zip(names, fusions, strict=True))


def _what_genome_added(results: Path, name: str, named: bool) -> str:
    from proband.evaluate.metrics.risk_set import LEAST_FOR_INTERVALS
    from proband.evaluate.panel.gain import Gain, genome_sentence
    from proband.evaluate.tables import read_table

    gains = read_table(results, "gains").filter(model=name, reference=RECORDS, metric="auroc")
    if gains.is_empty():
        return f"No outcome has {LEAST_FOR_INTERVALS} cases, too few to say what the genome added."
    row = gains.row(0, named=True)
    gain = Gain(row["difference"], row["low"], row["high"], row["num_outcomes"])
    said = genome_sentence(gain, row["horizon_years"])
    return f"{name}: {said}" if named else said


def _model(
    out: Path, name: str, fusion: str, length: Mapping[str, float], seed: int, overwrite: bool
) -> Path:
    """Train one model and forecast with it; returns the folder of its risks."""
    from proband.core.config import validated
    from proband.core.running.progress import say
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig
    from proband.train import train
    from proband.train.config import TrainConfig

    folder = name.lower().replace("+", "_").replace(" ", "_")
    scores = out / "genome" if fusion != "none" else None
    task = out / "biobank" / "task.yaml"
    how_long = ", ".join(f"{value:g} {unit}" for unit, value in length.items())
    say(f"demo: training {name}: {how_long} on the next event, then onset hazards")
    train(
        out / "tokens",
        out / f"model_{folder}",
        genome=scores,
        tasks=[task],
        config=validated(TrainConfig, fusion=fusion, batch_tokens=BATCH_TOKENS, seed=seed, **length),
        overwrite=overwrite,
    )
    forecast(
        out / f"model_{folder}",
        out / "tokens",
        out / f"risk_{folder}",
        task=task,
        genome=scores,
        config=ForecastConfig(name=name, seed=seed),
        overwrite=overwrite,
    )
    return out / f"risk_{folder}"
