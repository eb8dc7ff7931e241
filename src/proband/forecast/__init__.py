"""forecast: absolute risks, from onset hazards in closed form or from sampled futures.

Reads: a model folder, a tokens folder, a task file and, where the model uses them, a genome folder and files
of other modalities. Writes: risk.parquet (schema.RISK), task.yaml, and if asked futures as MEDS and risks of
scenarios. Config: :class:`~proband.forecast.config.ForecastConfig`. Next: evaluate. Not done here: labels
(what really happened), fine-tuned heads.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.forecast.stage import forecast as forecast
else:
    __getattr__ = lazy_names(__name__, {"forecast": "proband.forecast.stage"})

__all__ = ["forecast"]
