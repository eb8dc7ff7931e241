"""Scoring files: PGS Catalog files, lists of variants and tables of scores as typed rows.

Reads: text files. Gives: :class:`~proband.genome.scorefiles.scorefile.Scorefile` and tables of polars.
Next: matching. Not done here: whether a variant is genotyped.
"""
