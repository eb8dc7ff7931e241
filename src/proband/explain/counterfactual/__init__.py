"""counterfactual: risks of other genomes, and of records without a code.

Reads: a model's onset hazards, records, scores of the train split. Writes: rows of risks. Config: none.
Next: nothing. Not done here: what would happen to a person: these are the model's answers.
"""
