"""panel: what is computed over all outcomes or horizons together.

Reads: paired risks, and replicates of metrics.
Gives: mean gains with one interval, adjusted p values, the integrated Brier score, what each model is.
Next: evaluate.stage. Not done here: metrics of one outcome (evaluate.metrics).
"""
