"""Matching: rows of scoring files to genotyped variants, with a report of what did not match and why.

Reads: data sets of genotypes, rows of scoring files. Gives: weights by variant, the match report,
its picture.
Next: scoring. Not done here: dosages are not read.
"""
