"""Scoring: dosages times weights, for thousands of scores at once, in blocks that can be resumed.

Reads: data sets of genotypes, weights. Gives: raw sums by sample; dosages of listed variants.
Next: stage, ancestry. Not done here: matching.
"""
