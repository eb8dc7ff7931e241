"""``proband evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Overwrite
from proband.core.options import INPUTS
from proband.evaluate.config import EvaluateConfig


def command(
    risks: Annotated[
        list[Path],
        typer.Argument(metavar="RISK...", help="Folders of forecast or oracle, or RiskTable files."),
    ],
    meds: Annotated[
        Path,
        typer.Option(
            help="MEDS folder of the same subjects: labels, sex, birth, train split of the baselines.",
            rich_help_panel=INPUTS,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    config: EvaluateConfig,
    genome: Annotated[
        Path | None,
        typer.Option(
            help="Genome folder: adds the PGS baselines (with its pcs.parquet, principal components too) and "
            "risk by PGS decile.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="Tokens folder of the same subjects: adds the baselines on records.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Truth folder of a synthetic biobank.",
            show_default="the oracle's folder, or that of a RiskTable file in it",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option(
            help="Task file, needed for RiskTable files alone.",
            show_default="the forecasts' own",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    kinship: Annotated[
        Path | None,
        typer.Option(
            help="Table of related pairs, as proband ehr takes it: families to the third degree are "
            "resampled as one.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    fusion_risks: Annotated[
        Path | None,
        typer.Option(
            help="Forecast of the tuning split by one of the models: adds the baseline late_fusion.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    subgroups: Annotated[
        Path | None,
        typer.Option(
            help="Table of subgroups of your own: subject_id and columns of names.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    refits: Annotated[
        list[Path] | None,
        typer.Option(
            help="Forecast of one of the models trained again, under its name, repeatable: adds the "
            "stability of risks.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Judge risks against what happened: discrimination, calibration, utility, paired differences.

    Example: proband evaluate risk/ --meds meds/ --tokens tokens/ --genome genome/ --out results/

    With two baselines alone: proband evaluate risk/ --meds meds/ --tokens tokens/ --out results/ --baselines
    age_sex,lightgbm
    """
    from proband.evaluate import evaluate

    evaluate(
        risks,
        meds,
        out,
        genome=genome,
        tokens=tokens,
        truth=truth,
        kinship=kinship,
        fusion_risks=fusion_risks,
        subgroups=subgroups,
        refits=refits or (),
        task=task,
        config=config,
        overwrite=overwrite,
    )
