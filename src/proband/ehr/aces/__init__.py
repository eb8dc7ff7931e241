"""aces: an ACES task configuration as a task file, with its label file (``proband aces``).

Reads: an ACES configuration (YAML), meds/. Writes: task.yaml, labels.parquet, in the MEDS label schema.
Config: the configuration itself. Next: ehr.labels, forecast, evaluate with the task file. Not done here:
windows that end at an event, and label predicates that may come again, which no task file can say.
"""

from proband.core.lazy import lazy_names

__all__ = ["aces"]
__getattr__ = lazy_names(__name__, {"aces": "proband.ehr.aces.stage"})
