"""ehr: records of OMOP or MEDS in, checked MEDS shards out.

Reads: OMOP CDM 5.3/5.4 tables (Parquet, CSV, zip, DuckDB, PostgreSQL, Spark) or a MEDS dataset.
Writes: data/{split}/{k}.parquet, metadata/{codes,subject_splits}.parquet, dataset.json, manifest.json.
Config: :class:`proband.ehr.config.EhrConfig`; the task file is :class:`proband.ehr.outcomes.Task`.
Next: tokens reads the events, labels and follow-up feed evaluate.
Not done here: vocabulary, value bins, mapping of source codes to standard concepts, free text.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.ehr.stage import ehr as ehr
else:
    __getattr__ = lazy_names(__name__, {"ehr": "proband.ehr.stage"})

__all__ = ["ehr"]
