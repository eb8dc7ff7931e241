"""ancestry: genetic similarity by principal components, and scores adjusted for it. Never race.

Reads: genotypes and raw scores; optionally splits, kinship, given components, a reference panel, a model.
Writes: pcs.parquet, ancestry.parquet, adjusted/Z_*.parquet, ancestry_model.npz, pcs.png.
Config: :class:`~proband.genome.ancestry.config.AncestryConfig`.
Next: tokens and train read the adjusted scores and the components by ``subject_id``.
Not done here: local ancestry, admixture proportions, percentiles.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names
from proband.genome.ancestry.config import AncestryConfig as AncestryConfig
from proband.genome.ancestry.config import AncestryInputs as AncestryInputs

if TYPE_CHECKING:
    from proband.genome.ancestry.stage import run_ancestry as run_ancestry
else:
    __getattr__ = lazy_names(__name__, {"run_ancestry": "proband.genome.ancestry.stage"})

__all__ = ["AncestryConfig", "AncestryInputs", "run_ancestry"]
