"""Tasks: which outcomes, predicted when, over which horizons; follow-up and labels.

Reads: task files, panels, MEDS folders. Gives: prediction times and labels.
Next: train, forecast, evaluate. Not done here: risks.
"""
