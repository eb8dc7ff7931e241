"""``proband genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    genotypes: Annotated[Path, typer.Argument(help="Prefix or file of .pgen, .bed, .vcf, .vcf.gz or .bcf.")],
    scorefiles: Annotated[
        Path, typer.Argument(help="Folder of PGS Catalog scoring files (.txt or .txt.gz).")
    ],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    min_match_rate: Annotated[
        float, typer.Option(help="Leave out scores matched below this share of their rows, 0 to 1.")
    ] = 0.75,
    keep_ambiguous: Annotated[
        bool, typer.Option("--keep-ambiguous", help="Use A/T and C/G variants; default off.")
    ] = False,
    samples: Annotated[
        Path | None, typer.Option(help="TSV of sample_id, subject_id; default: the sample names.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make the output anew.")] = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    Example: proband genome biobank/genotypes/biobank biobank/scorefiles genome/
    """
    from proband.genome import genome

    genome(
        genotypes,
        scorefiles,
        out,
        min_match_rate=min_match_rate,
        keep_ambiguous=keep_ambiguous,
        samples=samples,
        overwrite=overwrite,
    )
