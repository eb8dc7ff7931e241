"""metrics: one number of a model at one outcome and horizon, in the sample and in every bootstrap replicate.

Reads: a RiskSet (rows, follow-up, risks). Gives: one value per replicate of each metric of the registry.
Next: :mod:`proband.evaluate.frames`, which makes them rows of the results tables.
Not done here: resampling of subjects; intervals; files.
"""
