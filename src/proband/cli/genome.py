"""``proband genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Overwrite, Spark
from proband.core.errors import ConfigError
from proband.core.options import RUNNING
from proband.genome.ancestry.config import ANCESTRY, AncestryConfig, AncestryInputs
from proband.genome.config import COHORTS, GenomeConfig, LeaveOut
from proband.genome.scoring.memory import MEMORY_MB

_DEFAULTS = GenomeConfig()


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="GENOTYPES SCOREFILES OUT",
            help="GENOTYPES: file, prefix, folder or quoted pattern ('chr{chrom}.pgen') of .pgen, .bed, "
            ".bgen, .vcf, .vcf.gz or .bcf. SCOREFILES: folder of PGS Catalog scoring files. OUT: output "
            "folder. With --from-scores or --from-genome: OUT alone.",
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
            help="List of samples to score, as of plink2: a line is a name, or FID and IID (IID counts). "
            "Of several files those are scored that every file holds.",
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
    from_genome: Annotated[
        Path | None,
        typer.Option(
            help="Take the scores of a genome folder, to tell their source cohorts or to leave some out.",
        ),
    ] = None,
    development: Annotated[
        Path | None,
        typer.Option(
            help="Cohorts in which scores were developed: the PGS Catalog's score_development_samples.csv, "
            "or a table of pgs_id, cohorts.",
            rich_help_panel=COHORTS,
        ),
    ] = None,
    leave_out: Annotated[
        LeaveOut,
        typer.Option(
            help="With --from-genome: leave out scores developed in the own cohort, or also those of which "
            "that is not known.",
            rich_help_panel=COHORTS,
        ),
    ] = "none",
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

    Example: proband genome 'ukb_c[0-9]*_b0_v3.bgen' scorefiles/ genome/ --keep consented.txt --workers 16

    Example: proband genome calls.vcf.gz scorefiles/ genome/ --ancestry --reference 1000G.pgen

    Example: proband genome calls.pgen scorefiles/ genome/ --variants lead_variants.txt

    Example: proband genome --from-scores aggregated_scores.txt.gz genome/

    Example: proband genome calls.pgen scorefiles/ genome/ --development score_samples.csv --own-cohort UKB

    Example: proband genome --from-genome genome/ genome_not_ukb/ --leave-out own
    """
    from proband.genome import genome, genome_from_genome, genome_from_scores

    _check_sources(from_scores, from_genome, leave_out)
    expected = "OUT" if from_scores or from_genome else "GENOTYPES SCOREFILES OUT"
    if len(paths) != len(expected.split()):
        raise ConfigError("unusable arguments", found=" ".join(map(str, paths)), expected=expected)
    if not (ancestry or inputs.given):
        if config.ancestry != AncestryConfig():
            raise ConfigError("settings of ancestry without the step", remedy="give --ancestry")
        config = config.model_copy(update={"ancestry": None})
    if from_genome:
        _refuse_with(
            "--from-genome", config, samples=samples, keep=keep, variants=variants, ancestry=config.ancestry
        )
        genome_from_genome(
            from_genome, paths[0], development=development, own_cohort=config.own_cohort,
            leave_out=leave_out, overwrite=overwrite,
        )  # fmt: skip
        return
    if not from_scores:
        genome(
            *paths,
            config=config,
            ancestry_inputs=inputs,
            samples=samples,
            keep=keep,
            variants=variants,
            development=development,
            memory_mb=memory,
            workers=workers,
            spark=spark,
            overwrite=overwrite,
        )
        return
    _refuse_with("--from-scores", config, keep=keep, variants=variants)
    genome_from_scores(
        from_scores,
        paths[0],
        samples=samples,
        development=development,
        own_cohort=config.own_cohort,
        ancestry=config.ancestry,
        ancestry_inputs=inputs,
        overwrite=overwrite,
    )


def _check_sources(from_scores: list[Path] | None, from_genome: Path | None, leave_out: str) -> None:
    if from_scores and from_genome:
        raise ConfigError("--from-scores and --from-genome exclude each other", remedy="give one of them")
    if leave_out != "none" and not from_genome:
        remedy = "score all first, then take some by --from-genome GENOME"
        raise ConfigError("--leave-out without --from-genome", found=leave_out, remedy=remedy)


def _refuse_with(mode: str, config: GenomeConfig, **given: object) -> None:
    """Refuse what is of no use where scores are there already: settings of matching, lists of samples."""
    settings = config.model_copy(update={"ancestry": None, "own_cohort": ()})
    changed = [name for name, value in settings if value != getattr(_DEFAULTS, name)]
    unusable = [*changed, *(name for name, value in given.items() if value is not None)]
    if unusable:
        flag = f"--{unusable[0].replace('_', '-')}"
        raise ConfigError(f"{flag} is of no use with {mode}", remedy=f"leave {flag} out")
