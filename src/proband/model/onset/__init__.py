"""onset: hazards of first occurrences on the person's clock.

Reads: the record summary, the trunk's state, age, sex and modalities at a date
(:class:`~proband.model.onset.inputs.Query`). Gives: log hazard ratios by task and time ahead. Config:
:class:`~proband.model.config.OnsetConfig`. Next: train.onset fits it, forecast integrates it. Not done here:
the fit.
"""
