"""genome: genotypes and scoring files to one row of polygenic scores per subject.

Reads: .pgen, .bed, BGEN or VCF genotypes in one or several files, and PGS Catalog scoring files; or scores
computed elsewhere; or a genome folder, of which some scores are taken.
Writes: scores.parquet, match.parquet, samples.parquet, scores.json, manifest.json; with ancestry also
pcs.parquet, ancestry.parquet and adjusted/, with a list of variants dosages.parquet and variants.tsv.
Config: :class:`~proband.genome.config.GenomeConfig` (least match rate, strand-ambiguous variants, ancestry).
Next: tokens and train read scores.parquet by ``subject_id``.
Not done here: imputation, lift-over between genome builds.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names
from proband.genome.ancestry.config import AncestryConfig as AncestryConfig
from proband.genome.ancestry.config import AncestryInputs as AncestryInputs
from proband.genome.config import GenomeConfig as GenomeConfig

if TYPE_CHECKING:
    from proband.genome.external import genome_from_scores as genome_from_scores
    from proband.genome.stage import genome as genome
    from proband.genome.subset import genome_from_genome as genome_from_genome
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "genome": "proband.genome.stage",
            "genome_from_genome": "proband.genome.subset",
            "genome_from_scores": "proband.genome.external",
        },
    )

__all__ = [
    "AncestryConfig", "AncestryInputs", "GenomeConfig", "genome", "genome_from_genome", "genome_from_scores",
]  # fmt: skip
