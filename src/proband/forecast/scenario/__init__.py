"""scenario: risks of declared changes to records and genomes, beside those of the subjects as they are.

Read by forecast. File format: :class:`~proband.forecast.scenario.file.Scenarios`. Writes:
schema.SCENARIOS, schema.SCENARIO_SUMMARY, schema.PLAUSIBILITY. No causal claim.
"""
