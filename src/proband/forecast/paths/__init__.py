"""paths: the engine that samples futures of any number of subjects.

Reads: a model and histories. Gives: what each path says about each outcome, and trajectories
(:mod:`~proband.forecast.paths.question`). Config: :class:`~proband.forecast.paths.question.Question`. Next:
forecast.estimators. Not done here: risks, tables, files.
"""
