"""synth: a synthetic biobank with known truth, in the formats a real one hands over.

Reads: nothing; every number comes from the seed and the tables of ``proband.synth.traits``.
Writes: omop/ (CDM 5.4), genotypes/ and reference/ (.pgen by chromosome), kinship.tsv, scorefiles/, truth/.
Config: ``SynthConfig``.
Next: ``proband ehr`` reads omop/ and kinship.tsv, ``proband genome`` genotypes/, reference/ and scorefiles/.
Not done here: anything that learns or judges; only tests and experiments may open truth/.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names
from proband.synth.config import SynthConfig as SynthConfig

if TYPE_CHECKING:
    from proband.synth.stage import synth as synth
else:
    __getattr__ = lazy_names(__name__, {"synth": "proband.synth.stage"})

__all__ = ["SynthConfig", "synth"]
