"""explain: why a risk is what it is, and what the genome does in it.

Reads: a model folder with onset hazards, a tokens folder, a task file; a genome folder, a list of subjects, a
table of published effects if given. Writes: Parquet tables (:mod:`proband.explain.tables`), pictures, for one
subject a page. Config: :class:`~proband.explain.config.ExplainConfig`. Next: nothing. Not done here: changes
of a history other than leaving codes out; causes, of which attributions say nothing.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.explain.stage import explain as explain
else:
    __getattr__ = lazy_names(__name__, {"explain": "proband.explain.stage"})

__all__ = ["explain"]
