"""``proband demo``: every stage, one after the other, on a synthetic biobank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HEADLINE_HORIZON_YEARS = 10.0
"""The longest: at demo size, the one with cases enough to see something."""
BATCH_TOKENS = 1024
"""Small batches: in minutes of training, more steps lower the tuning loss more than larger ones do."""
MODELS = {"EHR": "none", "EHR+PGS prefix": "prefix", "EHR+PGS cross": "cross_attention"}
"""Name of each model and how the genome reaches its trunk; all have the same training time."""
SPLITS = (0.65, 0.1, 0.25)
"""A larger held-out share than a real cohort needs: at demo size, cases are few."""


def command(
    out: Annotated[Path, typer.Argument(help="Folder for everything the demo makes.")],
    subjects: Annotated[int, typer.Option(help="Subjects of the biobank.")] = 5000,
    minutes: Annotated[
        float, typer.Option(help="Wall-clock minutes to train each of the three models.")
    ] = 0.9,
    paths: Annotated[int, typer.Option(help="Sampled futures per prediction.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Make everything anew.")] = False,
) -> None:
    """From nothing to risks with and without the genome, in a report that opens in a browser.

    Makes a synthetic biobank (OMOP tables, genotypes, scoring files, truth), reads it as a real one, trains
    a model on records alone and two on records and polygenic scores, which reach the trunk as leading
    positions (prefix) or by cross-attention, forecasts, compares all with baselines and with the oracle,
    and writes OUT/report.html. Ten minutes on two cores; a second call goes
    on where the first stopped.

    Example: proband demo demo/

    Example: proband demo quick/ --subjects 500 --minutes 0.2
    """
    demo(out, subjects=subjects, minutes=minutes, paths=paths, seed=seed, overwrite=overwrite)


def demo(
    out: Path,
    *,
    subjects: int = 5000,
    minutes: float = 0.9,
    paths: int = 4,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Run all stages into ``out`` and print the headline table and the report's path.

    Args:
        out: Folder for everything.
        subjects: Subjects of the biobank.
        minutes: Training time of each of the three models.
        paths: Sampled futures per prediction.
        seed: Seed of everything.
        overwrite: Make finished stages anew.
    """
    from proband.ehr import ehr
    from proband.evaluate import evaluate
    from proband.evaluate.results import format_headline, headline
    from proband.genome import genome
    from proband.report import report
    from proband.synth import synth
    from proband.synth.config import preset
    from proband.tokens import tokens
    from proband.tokens.stage import TokensConfig

    biobank = out / "biobank"
    synth(biobank, config=preset("demo", subjects=subjects, seed=seed), overwrite=overwrite)
    kinship = biobank / "kinship.tsv"
    ehr(biobank / "omop", out / "meds", splits=SPLITS, kinship=kinship, seed=seed, overwrite=overwrite)
    genome(biobank / "genotypes", biobank / "scorefiles", out / "genome", overwrite=overwrite)
    tokens(out / "meds", out / "tokens", config=TokensConfig(min_subjects=2), overwrite=overwrite)
    risks = [_model(out, name, fusion, minutes, paths, seed, overwrite) for name, fusion in MODELS.items()]
    evaluate(
        [*risks, biobank / "truth" / "risk.parquet"],
        out / "meds",
        out / "results",
        genome=out / "genome",
        seed=seed,
        overwrite=overwrite,
    )
    page = out / "report.html"
    report(out / "results", page, overwrite=True)
    print(format_headline(headline(out / "results", HEADLINE_HORIZON_YEARS), list(MODELS)[1:]))
    print(f"\nThe report: {page.resolve()}")


def _model(out: Path, name: str, fusion: str, minutes: float, paths: int, seed: int, overwrite: bool) -> Path:
    """Train one model and forecast with it; returns the folder of its risks."""
    from proband.core.config import validated
    from proband.core.progress import say
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig
    from proband.train import train
    from proband.train.config import TrainConfig

    folder = name.lower().replace("+", "_").replace(" ", "_")
    scores = out / "genome" if fusion != "none" else None
    say(f"demo: training {name} for {minutes:g} minutes")
    train(
        out / "tokens",
        out / f"model_{folder}",
        genome=scores,
        tasks=[out / "biobank" / "task.yaml"],
        config=validated(TrainConfig, fusion=fusion, minutes=minutes, batch_tokens=BATCH_TOKENS, seed=seed),
        overwrite=overwrite,
    )
    forecast(
        out / f"model_{folder}",
        out / "tokens",
        out / f"risk_{folder}",
        task=out / "biobank" / "task.yaml",
        genome=scores,
        config=ForecastConfig(paths=paths, name=name, seed=seed),
        overwrite=overwrite,
    )
    return out / f"risk_{folder}"
