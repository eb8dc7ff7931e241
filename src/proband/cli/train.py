"""``proband train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Modality, Overwrite, modality_paths
from proband.train.config import ONSET, TrainConfig


def command(
    tokens: Annotated[Path, typer.Argument(help="Tokens folder.")],
    out: Annotated[Path, typer.Argument(help="Output folder of the model.")],
    *,
    genome: Genome = None,
    modality: Modality = None,
    config: TrainConfig,
    task: Annotated[
        list[Path] | None,
        typer.Option(
            help="Task file, repeatable: its outcomes get onset hazards, from which forecast reads risks.",
            rich_help_panel=ONSET,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a model on a tokens folder, with or without the genome and other modalities.

    An interrupted training is continued by the same command; --overwrite starts anew.

    Example: proband train tokens/ model_ehr/ --minutes 5

    Example: proband train tokens/ model/ --genome genome/ --fusion prefix --preset small --epochs 10

    Example: proband train tokens/ model/ --task task.yaml --genome genome/

    Example: proband train tokens/ model_pcs/ --modality pcs=genome/pcs.parquet

    Example: torchrun --nproc-per-node 8 -m proband train tokens/ model/ --preset base --compile
    """
    from proband.train import train

    train(
        tokens,
        out,
        genome=genome,
        modalities=modality_paths(modality),
        tasks=task or [],
        config=config,
        overwrite=overwrite,
    )
