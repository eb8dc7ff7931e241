"""``proband forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import MODALITY_HELP, modality_paths

INPUT, QUESTION, ERROR, MACHINE = "Inputs", "What is asked", "Sampling and its error", "Machine and memory"


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    task: Annotated[
        Path,
        typer.Option(
            help="Task file (YAML): outcomes, prediction times, horizons.", rich_help_panel=QUESTION
        ),
    ],
    genome: Annotated[
        Path | None,
        typer.Option(help="Genome folder; without it nobody is genotyped.", rich_help_panel=INPUT),
    ] = None,
    modality: Annotated[list[str] | None, typer.Option(help=MODALITY_HELP, rich_help_panel=INPUT)] = None,
    split: Annotated[
        str, typer.Option(help="train, tuning or held_out.", rich_help_panel=QUESTION)
    ] = "held_out",
    name: Annotated[
        str | None,
        typer.Option(help="Name in the RiskTable; default the model folder's.", rich_help_panel=QUESTION),
    ] = None,
    net: Annotated[
        bool,
        typer.Option(
            help="Net risks, of a world in which nobody dies, instead of death competing.",
            rich_help_panel=QUESTION,
        ),
    ] = False,
    curve_points: Annotated[
        int,
        typer.Option(
            help="Write risk curves at so many times up to the last horizon.",
            show_default="none",
            rich_help_panel=QUESTION,
        ),
    ] = 0,
    trajectories: Annotated[
        Path | None,
        typer.Option(help="Folder for the simulated futures, as a MEDS dataset.", rich_help_panel=QUESTION),
    ] = None,
    with_history: Annotated[
        bool,
        typer.Option(
            help="Let simulated futures begin with what was known before.", rich_help_panel=QUESTION
        ),
    ] = False,
    estimator: Annotated[
        str,
        typer.Option(
            help="closed_form (onset hazards; no sampling), or by sampled paths: scope (one pool for all "
            "outcomes), reach (least error; further paths where outcomes happen) or mc.",
            rich_help_panel=ERROR,
        ),
    ] = "closed_form",
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Closed form without the calibration found on the tuning split.",
            show_default="off",
            rich_help_panel=QUESTION,
        ),
    ] = False,
    paths: Annotated[int, typer.Option(help="Sampled futures per prediction.", rich_help_panel=ERROR)] = 64,
    precision: Annotated[
        str,
        typer.Option(
            help="Draw paths until each standard error is below this: 0.002, or 5% of the risk.",
            show_default="none",
            rich_help_panel=ERROR,
        ),
    ] = "",
    max_paths: Annotated[
        int, typer.Option(help="Most futures per prediction, with --precision.", rich_help_panel=ERROR)
    ] = 1024,
    max_events: Annotated[
        int, typer.Option(help="Events on a path before it is cut as unresolved.", rich_help_panel=ERROR)
    ] = 512,
    seed: Annotated[int, typer.Option(help="Seed of the paths.", rich_help_panel=ERROR)] = 0,
    temperature: Annotated[float, typer.Option(hidden=True)] = 1.0,
    top_k: Annotated[int, typer.Option(hidden=True)] = 0,
    memory: Annotated[
        float,
        typer.Option(
            help="GiB for the caches of all processes together; more paths run at once.",
            rich_help_panel=MACHINE,
        ),
    ] = 2.0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.", rich_help_panel=MACHINE)] = "cpu",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes on this machine.", show_default="one per core", rich_help_panel=MACHINE
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Risks by horizon, death competing: in closed form, or from sampled futures with standard errors.

    Example: proband forecast model/ tokens/ risk/ --task task.yaml --genome genome/

    proband forecast model/ tokens/ risk/ --task task.yaml --estimator reach --paths 16 --precision 0.002

    torchrun --nproc-per-node 4 -m proband forecast model/ tokens/ risk/ --task task.yaml --device cuda
    """
    from proband.core.config import validated
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig

    config = validated(
        ForecastConfig,
        estimator=estimator,
        raw=raw,
        paths=paths,
        precision=precision,
        max_paths=max_paths,
        net=net,
        curve_points=curve_points,
        with_history=with_history,
        temperature=temperature,
        top_k=top_k,
        device=device,
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
        trajectories=trajectories,
        config=config,
        workers=workers,
        overwrite=overwrite,
    )
