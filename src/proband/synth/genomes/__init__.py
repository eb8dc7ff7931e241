"""Genomes of the synthetic biobank: families, genotypes, effects, and the scores made from them."""
