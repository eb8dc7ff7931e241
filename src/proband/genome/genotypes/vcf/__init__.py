"""VCF and BCF files as dosages, read by htslib in a process of its own.

Reads: .vcf, .vcf.gz, .vcf.bgz and .bcf files.
Gives: :class:`~proband.genome.genotypes.dataset.Genotypes`, by
:func:`~proband.genome.genotypes.vcf.open.open_vcf`.
Next: :func:`~proband.genome.genotypes.open.open_genotypes` joins them with files of other kinds.
Not done here: regions, indexes.
"""
