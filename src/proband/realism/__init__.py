"""realism: simulated futures against real ones, and whether they copy the subjects trained on.

Reads: a trajectories folder of forecast, the tokens folder it was made from.
Writes: realism.parquet, memorisation.parquet, nearness.parquet.
Config: :class:`proband.realism.config.RealismConfig`.
Next: report.
Not done here: risks (evaluate judges them).
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.realism.stage import realism as realism
else:
    __getattr__ = lazy_names(__name__, {"realism": "proband.realism.stage"})

__all__ = ["realism"]
