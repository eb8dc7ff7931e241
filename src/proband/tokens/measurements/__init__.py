"""measurements: numeric values as bins of their code, with units converted or told apart.

Reads: MEDS events of the train split. Gives: bin edges, groups of units.
Next: tokens.vocabulary. Not done here: codes without values.
"""
