"""baselines: honest comparators, fitted on the train split alone, each giving a RiskTable like any model.

:mod:`~proband.evaluate.baselines.registry` lists them; adding one is one file and one registration there.
"""
