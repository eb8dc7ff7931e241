"""``proband realism``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    trajectories: Annotated[Path, typer.Argument(help="Folder of proband forecast --trajectories.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder that the forecast read.")],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    seed: Annotated[int, typer.Option(help="Seed of what is drawn at random.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default one per core.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Simulated futures against what really followed, and against copies of the subjects trained on.

    Example: proband realism trajectories/ tokens/ realism/
    """
    from proband.realism import realism

    realism(trajectories, tokens, out, seed=seed, workers=workers, overwrite=overwrite)
