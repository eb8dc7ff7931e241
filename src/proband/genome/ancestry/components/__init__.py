"""components: principal components of unrelated people on pruned variants, and everybody's place on them.

Reads: genotypes, block by block. Gives: kinship, the variants taken, loadings and components.
Next: genome.ancestry.axes. Not done here: which population a person is most like.
"""
