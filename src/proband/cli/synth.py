"""``proband synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    subjects: Annotated[int, typer.Option(help="Number of subjects.", min=20)] = 5000,
    seed: Annotated[int, typer.Option(help="Same seed, same files.", min=0)] = 0,
    scores: Annotated[
        int, typer.Option(help="Number of polygenic scoring files, a fifth of them null.", min=1)
    ] = 60,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Make a synthetic biobank with known truth: OMOP, genotypes, scoring files, task.

    Example: proband synth biobank/ --subjects 1000 --seed 7
    """
    from proband.synth import synth

    synth(out, subjects=subjects, seed=seed, scores=scores, overwrite=overwrite)
