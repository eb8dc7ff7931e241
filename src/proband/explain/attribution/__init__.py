"""attribution: a log hazard taken apart, and the risk with it.

Reads: a model's onset hazards and what is known of subjects. Writes: rows of parts, codes and scores. Config:
none. Next: counterfactual, alignment. Not done here: records or genomes that are not the subject's own.
"""
