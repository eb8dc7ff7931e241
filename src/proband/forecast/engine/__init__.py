"""engine: samples futures of any number of subjects.

Reads: a model and histories. Gives: what each path contributes to each outcome's risk, and trajectories
(:mod:`~proband.forecast.engine.request`). Config: :class:`~proband.forecast.engine.request.Question`. Next:
forecast.estimators. Not done here: risks, tables, files.
"""
