"""``proband evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    risks: Annotated[
        list[Path], typer.Argument(metavar="RISK...", help="Forecast folders or RiskTable files.")
    ],
    meds: Annotated[Path, typer.Option(help="MEDS folder of the same subjects.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    genome: Annotated[
        Path | None, typer.Option(help="Genome folder: adds the PGS baselines and risk by PGS decile.")
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="Tokens folder of the same subjects: adds the LightGBM baseline.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Truth folder of a synthetic biobank; default that of a RiskTable file in it."),
    ] = None,
    task: Annotated[Path | None, typer.Option(help="Task file, needed for RiskTable files alone.")] = None,
    kinship: Annotated[
        Path | None, typer.Option(help="Table of related pairs: relatives are resampled together.")
    ] = None,
    fusion_risks: Annotated[
        Path | None, typer.Option(help="Forecast of the tuning split by one of the models: adds late fusion.")
    ] = None,
    subgroups: Annotated[
        Path | None,
        typer.Option(help="Table of subgroups of your own: subject_id and columns of names."),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Difference in AUROC that does not matter, for equivalence.")
    ] = 0.01,
    baselines: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="all (default), none, or a baseline's name, repeatable."),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap replicates over subjects.")] = 500,
    split: Annotated[str, typer.Option(help="Split judged: train, tuning or held_out.")] = "held_out",
    seed: Annotated[int, typer.Option(help="Seed of resamples and folds.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Judge risks against what happened: discrimination, calibration, utility, paired differences.

    Example: proband evaluate risk/ --meds meds/ --tokens tokens/ --genome genome/ --out results/
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
        margin=margin,
        baselines=baselines or ["all"],
        bootstrap=bootstrap,
        split=split,
        seed=seed,
        task=task,
        overwrite=overwrite,
    )
