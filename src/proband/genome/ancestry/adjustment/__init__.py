"""adjustment: scores whose mean and spread no longer go with ancestry.

Reads: scores, components or populations of the train split. Gives: fitted adjustments, adjusted scores.
Next: genome.ancestry.stage. Not done here: the components.
"""
