"""``proband forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Modality, Out, Overwrite, Workers, modality_paths
from proband.forecast.config import QUESTION, ForecastConfig


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Out,
    task: Annotated[
        Path,
        typer.Option(
            help="Task file (YAML): outcomes, prediction times, horizons.", rich_help_panel=QUESTION
        ),
    ],
    config: ForecastConfig,
    trajectories: Annotated[
        Path | None,
        typer.Option(help="Folder for the simulated futures, as a MEDS dataset.", rich_help_panel=QUESTION),
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="List of subjects, a subject_id a line, instead of a split.",
            show_default="none",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            help="Scenario file (YAML): changes whose risks are compared with those of subjects as they are.",
            show_default="none",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    genome: Genome = None,
    modality: Modality = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Risks by horizon, death competing: in closed form, or from sampled futures with standard errors.

    A modality that is not given counts as absent: without --genome nobody is genotyped.

    Example: proband forecast model/ tokens/ risk/ --task task.yaml --genome genome/

    proband forecast model/ tokens/ risk/ --task task.yaml --estimator reach --paths 16 --precision 0.002

    proband forecast model/ tokens/ risk/ --task task.yaml --genome genome/ --scenario scenario.yaml

    torchrun --nproc-per-node 4 -m proband forecast model/ tokens/ risk/ --task task.yaml --device cuda
    """
    from proband.forecast import forecast

    forecast(
        model,
        tokens,
        out,
        task=task,
        genome=genome,
        modalities=modality_paths(modality),
        trajectories=trajectories,
        subjects=subjects,
        scenario=scenario,
        config=config,
        workers=workers,
        overwrite=overwrite,
    )
