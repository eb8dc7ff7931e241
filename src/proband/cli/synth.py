"""``proband synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    preset: Annotated[
        str,
        typer.Option(
            help="demo: 15,000 subjects, 20,000 variants, 80 scores, a minute. "
            "biobank: 20,000 subjects, 100,000 variants, 300 scores, minutes."
        ),
    ] = "biobank",
    subjects: Annotated[
        int | None, typer.Option(help="Number of subjects; default the preset's.", min=20)
    ] = None,
    variants: Annotated[
        int | None, typer.Option(help="Genotyped variants; default the preset's.", min=440)
    ] = None,
    scores: Annotated[
        int | None,
        typer.Option(help="Polygenic scoring files, a fifth of them null; default the preset's.", min=1),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same files.", min=0)] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes; default one per core. Each takes up to 3 GB.", min=1)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make the output anew.")] = False,
) -> None:
    """Make a synthetic biobank with known truth: OMOP, genotypes, scoring files, task.

    A stopped run goes on where it stopped when the same command is given again.

    Example: proband synth biobank/ --preset demo --seed 7

    Example: proband synth large/ --subjects 100000 --scores 3481
    """
    from proband.synth import synth
    from proband.synth.config import preset as settings

    config = settings(preset, subjects=subjects, variants=variants, scores=scores, seed=seed)
    synth(out, config=config, workers=workers, overwrite=overwrite)
