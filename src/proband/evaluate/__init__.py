"""evaluate: risks against what happened.

Reads: RiskTables (risk.parquet + task.yaml), the MEDS folder for labels, sex and age; tokens/, genome/ and
truth/ if given.
Writes: the tables of :data:`proband.evaluate.tables.TABLES` and labels (.parquet), baselines/,
meds_evaluation/.
Config: :class:`proband.evaluate.config.EvaluateConfig`.
Next: report.
Not done here: any model; forecasting; suppression of small counts (report does it).
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.evaluate.stage import evaluate as evaluate
else:
    __getattr__ = lazy_names(__name__, {"evaluate": "proband.evaluate.stage"})

__all__ = ["evaluate"]
