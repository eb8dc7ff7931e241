"""genome: genotypes and scoring files to one row of polygenic scores per subject.

Reads: .pgen, .bed or VCF genotypes, and PGS Catalog scoring files (the author's or harmonised).
Writes: scores.parquet, match.parquet, samples.parquet, scores.json, manifest.json.
Config: :class:`~proband.genome.stage.GenomeConfig` (least match rate, strand-ambiguous variants).
Next: tokens and train read scores.parquet by ``subject_id``.
Not done here: imputation, lift-over between genome builds, ancestry adjustment, standardising of scores.
"""

from proband.genome.stage import GenomeConfig as GenomeConfig
from proband.genome.stage import genome as genome

__all__ = ["GenomeConfig", "genome"]
