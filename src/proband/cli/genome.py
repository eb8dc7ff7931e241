"""``proband genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    genotypes: Annotated[Path, typer.Argument(help="Prefix or file of .pgen, .bed or .vcf.gz.")],
    scorefiles: Annotated[Path, typer.Argument(help="Folder of PGS Catalog scoring files (.txt or .txt.gz).")],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    min_match_rate: Annotated[float, typer.Option(help="Leave out scores matched below this share.")] = 0.75,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    Example: proband genome biobank/genotypes/biobank.pgen biobank/scorefiles genome/
    """
    from proband.genome import genome

    genome(genotypes, scorefiles, out, min_match_rate=min_match_rate, overwrite=overwrite)
