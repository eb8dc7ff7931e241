"""Genotypes: PLINK, BGEN and VCF files as one data set of dosages.

Reads: .pgen, .bed, .bgen, .vcf and .bcf files with their companions, one or several.
Gives: :class:`~proband.genome.genotypes.dataset.Genotypes`, by
:func:`~proband.genome.genotypes.open.open_genotypes`.
Next: matching, scoring, ancestry.
Not done here: anything about scores.
"""
