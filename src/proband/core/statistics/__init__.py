"""statistics: what several stages compute alike: incidence, splines, statistical disclosure control.

Reads: counts and person-years. Gives: smoothed rates, spline bases, which counts may leave.
Next: train, forecast, evaluate, report. Not done here: metrics (evaluate.metrics).
"""
