"""Open a data set of genotypes, whatever kind of files holds it."""

from __future__ import annotations

from pathlib import Path

from proband.genome.genotypes.dataset import Genotypes
from proband.genome.genotypes.formats.bgen import open_bgen
from proband.genome.genotypes.formats.plink import open_plink
from proband.genome.genotypes.keep import keep_samples
from proband.genome.genotypes.parts import find_genotypes, join_parts
from proband.genome.genotypes.vcf.open import open_vcf


def open_genotypes(
    path: Path, scratch: Path, keep: Path | None = None, *, with_ids: bool = False
) -> Genotypes:
    """Open a data set of genotypes; its files may hold different samples only with ``keep``.

    Args:
        path: File, prefix, folder or pattern, as :func:`~.parts.find_genotypes` takes it.
        scratch: Folder for temporary files (a VCF's dosages); it must outlive the readers.
        keep: List of the samples to read, one name or ``FID IID`` a line, of which those are read that every
            file holds; None for all.
        with_ids: Read the variants' identifiers too.

    Raises:
        DataError: Something is missing, unreadable, truncated, duplicated, or does not fit together.
    """
    sets = [_open_file(file, scratch, with_ids) for file in find_genotypes(path)]
    return join_parts(keep_samples(sets, keep) if keep else sets)


def _open_file(path: Path, scratch: Path, with_ids: bool) -> Genotypes:
    if path.name.endswith((".pgen", ".bed")):
        return open_plink(path, with_ids=with_ids)
    if path.name.endswith(".bgen"):
        return open_bgen(path, with_ids=with_ids)
    return open_vcf(path, scratch, with_ids=with_ids)
