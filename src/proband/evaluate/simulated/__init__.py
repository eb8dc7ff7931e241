"""Simulated futures against real ones: realism, and whether they copy the subjects trained on.

Reads: a trajectories folder of forecast, the tokens folder it was made from. Writes: realism.parquet,
memorisation.parquet, nearness.parquet. Config: :class:`proband.evaluate.config.RealismConfig`. Next:
report. Not done here: risks (evaluate judges them).
"""

from proband.evaluate.simulated.stage import realism as realism

__all__ = ["realism"]
