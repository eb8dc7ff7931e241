"""``proband genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    min_match_rate: Annotated[
        float, typer.Option(help="Leave out scores matched below this share of their rows, 0 to 1.")
    ] = 0.75,
    keep_ambiguous: Annotated[
        bool, typer.Option("--keep-ambiguous", help="Use A/T and C/G variants; default off.")
    ] = False,
    match_by: Annotated[
        str, typer.Option(help="position, or id for scoring files of rsIDs without positions.")
    ] = "position",
    samples: Annotated[
        Path | None, typer.Option(help="Table of sample_id, subject_id; default: the sample names.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="List of samples to score: a name, or FID and IID, a line.")
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            help="Variants whose dosages to write: rsIDs or chrom:pos:other:effect, one a line, or a table "
            "with the columns of a scoring file."
        ),
    ] = None,
    from_scores: Annotated[
        list[Path] | None,
        typer.Option(
            help="Take scores computed elsewhere: pgsc_calc's aggregated file, plink's .sscore or .profile, "
            "PRSice's .best, or a table."
        ),
    ] = None,
    ancestry: Annotated[
        bool, typer.Option("--ancestry", help="Components, most similar populations, adjusted scores.")
    ] = False,
    reference: Annotated[Path | None, typer.Option(help="Genotypes of a reference panel.")] = None,
    reference_populations: Annotated[
        Path | None, typer.Option(help="Table of the panel's populations; default its .psam.")
    ] = None,
    pcs: Annotated[Path | None, typer.Option(help="Table of components to take, not fit.")] = None,
    splits: Annotated[
        Path | None, typer.Option(help="MEDS folder: fit ancestry on its train subjects.")
    ] = None,
    kinship: Annotated[Path | None, typer.Option(help="Table of related pairs; default: estimated.")] = None,
    ancestry_model: Annotated[
        Path | None, typer.Option(help="Apply the ancestry model of an earlier run.")
    ] = None,
    population_column: Annotated[
        str | None, typer.Option(help="Column of the populations; default the first known name.")
    ] = None,
    num_pcs: Annotated[int, typer.Option(help="Principal components kept.")] = 10,
    similarity: Annotated[
        str, typer.Option(help="Most similar population by forest or mahalanobis distance.")
    ] = "forest",
    relatives: Annotated[
        str, typer.Option(help="king: estimate kinship without a table; none: take all as unrelated.")
    ] = "king",
    adjust: Annotated[
        list[str] | None,
        typer.Option(help="Z_MostSimilarPop, Z_norm1 or Z_norm2, repeatable; default all possible."),
    ] = None,
    memory: Annotated[int, typer.Option(min=64, help="MiB for scoring, beside the weights.")] = 1024,
    workers: Annotated[int, typer.Option(min=1, help="Threads for scoring.")] = 1,
    spark: Annotated[str | None, typer.Option(help="Spark master URL, such as yarn or local[8].")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make the output anew.")] = False,
) -> None:
    """Score genotypes: one row per subject, one column per polygenic score.

    A run that was killed goes on from OUT.partial when the same command is given again.

    Example: proband genome biobank/genotypes biobank/scorefiles genome/

    Example: proband genome 'ukb_c{chrom}_b0_v3.bgen' scorefiles/ genome/ --keep consented.txt --workers 16

    Example: proband genome calls.vcf.gz scorefiles/ genome/ --ancestry --reference 1000G.pgen

    Example: proband genome calls.pgen scorefiles/ genome/ --variants lead_variants.txt

    Example: proband genome --from-scores aggregated_scores.txt.gz genome/
    """
    from proband.core.config import validated
    from proband.core.errors import ConfigError
    from proband.genome import AncestryConfig, AncestryInputs, genome, genome_from_scores
    from proband.genome.ancestry.config import ADJUST_PCS, SIMILARITY_PCS

    inputs = AncestryInputs(splits, kinship, pcs, reference, reference_populations, ancestry_model)
    settings = validated(
        AncestryConfig,
        population_column=population_column,
        num_pcs=num_pcs,
        adjust_pcs=min(num_pcs, ADJUST_PCS),
        similarity_pcs=min(num_pcs, SIMILARITY_PCS),
        similarity=similarity,
        relatives=relatives,
        adjust=tuple(adjust) if adjust else None,
    )
    expected = "OUT" if from_scores else "GENOTYPES SCOREFILES OUT"
    if len(paths) != len(expected.split()):
        raise ConfigError("unusable arguments", found=" ".join(map(str, paths)), expected=expected)
    if from_scores and variants:
        remedy = "give GENOTYPES SCOREFILES OUT"
        raise ConfigError("--variants needs genotypes", found="--from-scores", remedy=remedy)
    if from_scores:
        genome_from_scores(
            from_scores,
            paths[0],
            samples=samples,
            ancestry=settings if ancestry or inputs.given else None,
            ancestry_inputs=inputs,
            overwrite=overwrite,
        )
        return
    genome(
        *paths,
        min_match_rate=min_match_rate,
        keep_ambiguous=keep_ambiguous,
        match_by=match_by,
        samples=samples,
        keep=keep,
        variants=variants,
        ancestry=settings if ancestry or inputs.given else None,
        ancestry_inputs=inputs,
        memory_mb=memory,
        workers=workers,
        spark=spark,
        overwrite=overwrite,
    )
