"""``proband embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Out, Overwrite
from proband.embed.config import WHO, EmbedConfig


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Out,
    config: EmbedConfig,
    task: Annotated[
        Path | None,
        typer.Option(
            help="Task file, whose prediction times are the dates.",
            show_default="the end of follow-up",
            rich_help_panel=WHO,
        ),
    ] = None,
    dates: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or text file of subject_id and prediction_time.",
            show_default="the end of follow-up",
            rich_help_panel=WHO,
        ),
    ] = None,
    genome: Genome = None,
    fam: Annotated[
        Path | None,
        typer.Option(
            help=".fam or .psam of the genotypes, for the family IDs of the tables of a GWAS.",
            show_default="FID is the sample's name, as IID",
            rich_help_panel=WHO,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """One vector per subject and date: what the model has read of the record by then.

    Example: proband embed model/ tokens/ vectors/ --task task.yaml

    Example: proband embed model/ tokens/ gwas/ --gwas --genome genome/ --fam cohort.fam
    """
    from proband.embed import embed

    embed(
        model, tokens, out, task=task, dates=dates, genome=genome, fam=fam, config=config, overwrite=overwrite
    )
