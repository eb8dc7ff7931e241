"""estimators: cumulative incidence from onset hazards in closed form, or from sampled paths.

Reads: log hazard ratios, or the values of paths. Gives: risks with standard errors and bounds
(:class:`~proband.forecast.estimators.risks.Risks`). Config:
:class:`~proband.forecast.config.ForecastConfig`. Next: the RiskTable. Not done here: sampling (engine).
"""
