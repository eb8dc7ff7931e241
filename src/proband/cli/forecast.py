"""``proband forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import MODALITY_HELP, modality_paths


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    task: Annotated[Path, typer.Option(help="Task file (YAML): outcomes, prediction times, horizons.")],
    genome: Annotated[
        Path | None, typer.Option(help="Genome folder; without it nobody is genotyped.")
    ] = None,
    modality: Annotated[list[str] | None, typer.Option(help=MODALITY_HELP)] = None,
    estimator: Annotated[
        str, typer.Option(help="mc, scope (one pool of paths for all outcomes) or reach (least variance).")
    ] = "scope",
    paths: Annotated[int, typer.Option(help="Sampled futures per prediction.")] = 64,
    max_events: Annotated[int, typer.Option(help="Events on a path before it is cut as unresolved.")] = 512,
    memory: Annotated[
        float, typer.Option(help="GiB for the caches of all processes together; more paths run at once.")
    ] = 2.0,
    split: Annotated[str, typer.Option(help="train, tuning or held_out.")] = "held_out",
    name: Annotated[
        str | None, typer.Option(help="Name in the RiskTable; default the model folder's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the paths.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; default one per core.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Risks by horizon with standard errors, death competing.

    Example: proband forecast model/ tokens/ risk/ --task task.yaml --genome genome/
    """
    from proband.core.config import validated
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig

    config = validated(
        ForecastConfig,
        estimator=estimator,
        paths=paths,
        max_events=max_events,
        memory=memory,
        split=split,
        name=name or model.resolve().name,
        seed=seed,
    )
    forecast(
        model,
        tokens,
        out,
        task=task,
        genome=genome,
        modalities=modality_paths(modality),
        config=config,
        workers=workers,
        overwrite=overwrite,
    )
