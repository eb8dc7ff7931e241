"""Default memory of scoring: totals and genotypes, beside the weights. Apart: --help imports it."""

MEMORY_MB = 1024
"""MiB."""
