"""``proband explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Modality, Out, Overwrite, modality_paths
from proband.core.options import INPUTS
from proband.explain.config import QUESTION, ExplainConfig


def command(
    model: Annotated[Path, typer.Argument(help="Model folder with onset hazards.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Out,
    task: Annotated[
        Path,
        typer.Option(
            help="Task file (YAML): outcomes, prediction times, horizons.", rich_help_panel=QUESTION
        ),
    ],
    config: ExplainConfig,
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="List of subjects, a subject_id a line, instead of a split; of one a page is written.",
            show_default="none",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    genome: Genome = None,
    modality: Modality = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="Table of published effects: outcome, log_hazard_ratio, and score if known.",
            show_default="none",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    code_names: Annotated[
        Path | None,
        typer.Option(
            help="Parquet of code and description, as MEDS metadata/codes.parquet.",
            show_default="none",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="True risks of a synthetic biobank (truth/risk.parquet), beside those of the model.",
            show_default="none",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Why each risk is what it is: parts, codes and scores; other genomes; agreement with known PGS effects.

    Example: proband explain model/ tokens/ why/ --task task.yaml --genome genome/

    Example: proband explain model/ tokens/ why_one/ --task task.yaml --genome genome/ --subjects one.txt
    """
    from proband.explain import explain

    explain(
        model,
        tokens,
        out,
        task=task,
        genome=genome,
        modalities=modality_paths(modality),
        subjects=subjects,
        published=published,
        code_names=code_names,
        truth=truth,
        config=config,
        overwrite=overwrite,
    )
