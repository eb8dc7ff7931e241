"""``proband genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Overwrite, Spark
from proband.core.errors import ConfigError
from proband.core.options import RUNNING
from proband.genome.ancestry.config import ANCESTRY, AncestryConfig, AncestryInputs
from proband.genome.config import GenomeConfig
from proband.genome.scoring.memory import MEMORY_MB


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="GENOTYPES SCOREFILES OUT",
            help="GENOTYPES: file, prefix, folder or quoted pattern ('chr{chrom}.pgen') of .pgen, .bed, "
            ".bgen, .vcf, .vcf.gz or .bcf. SCOREFILES: folder of PGS Catalog scoring files. OUT: output "
            "folder. With --from-scores: OUT alone.",
        ),
    ],
    config: GenomeConfig,
    inputs: AncestryInputs,
    samples: Annotated[
        Path | None, typer.Option(help="Table of sample_id, subject_id.", show_default="the sample names")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="List of samples to score, as of plink2: a line is a name, or FID and IID (IID counts).",
            show_default="all samples",
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            help="Variants whose dosages to write: rsIDs or chrom:pos:other:effect, one a line, or a table "
            "with the columns of a scoring file.",
        ),
    ] = None,
    from_scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Take scores computed elsewhere: pgsc_calc's aggregated file, plink's .sscore or .profile, "
            "PRSice's .best, or a table; repeatable.",
        ),
    ] = None,
    ancestry: Annotated[
        bool,
        typer.Option(
            "--ancestry",
            help="Components, most similar populations, adjusted scores.",
            show_default="on with a file of this group, else off",
            rich_help_panel=ANCESTRY,
        ),
    ] = False,
    memory: Annotated[
        int, typer.Option(min=64, help="MiB for scoring, beside the weights.", rich_help_panel=RUNNING)
    ] = MEMORY_MB,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads for scoring, a number.", rich_help_panel=RUNNING)
    ] = 1,
    spark: Spark = None,
    overwrite: Overwrite = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    A run that was killed goes on from OUT.partial when the same command is given again.

    Example: proband genome biobank/genotypes biobank/scorefiles genome/

    Example: proband genome 'ukb_c{chrom}_b0_v3.bgen' scorefiles/ genome/ --keep consented.txt --workers 16

    Example: proband genome calls.vcf.gz scorefiles/ genome/ --ancestry --reference 1000G.pgen

    Example: proband genome calls.pgen scorefiles/ genome/ --variants lead_variants.txt

    Example: proband genome --from-scores aggregated_scores.txt.gz genome/
    """
    from proband.genome import genome, genome_from_scores

    expected = "OUT" if from_scores else "GENOTYPES SCOREFILES OUT"
    if len(paths) != len(expected.split()):
        raise ConfigError("unusable arguments", found=" ".join(map(str, paths)), expected=expected)
    if not (ancestry or inputs.given):
        if config.ancestry != AncestryConfig():
            raise ConfigError("settings of ancestry without the step", remedy="give --ancestry")
        config = config.model_copy(update={"ancestry": None})
    if not from_scores:
        genome(
            *paths,
            config=config,
            ancestry_inputs=inputs,
            samples=samples,
            keep=keep,
            variants=variants,
            memory_mb=memory,
            workers=workers,
            spark=spark,
            overwrite=overwrite,
        )
        return
    if variants:
        remedy = "give GENOTYPES SCOREFILES OUT"
        raise ConfigError("--variants needs genotypes", found="--from-scores", remedy=remedy)
    genome_from_scores(
        from_scores,
        paths[0],
        samples=samples,
        ancestry=config.ancestry,
        ancestry_inputs=inputs,
        overwrite=overwrite,
    )
