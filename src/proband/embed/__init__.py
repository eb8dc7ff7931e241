"""embed: what a model knows of a subject at a date, as a vector.

Reads: a model folder, a tokens folder of its vocabulary and, for the dates, a task file or a table of them; a
genome folder for sample names, components, ancestry. Writes: embeddings.parquet (schema.EMBEDDINGS) and, if
asked, phenotypes.txt and covariates.txt for a GWAS, map.parquet and map.png. Config:
:class:`~proband.embed.config.EmbedConfig`. Next: other programs. Not done here: the association test.
"""

from typing import TYPE_CHECKING

from proband.core.lazy import lazy_names

if TYPE_CHECKING:
    from proband.embed.stage import embed as embed
else:
    __getattr__ = lazy_names(__name__, {"embed": "proband.embed.stage"})

__all__ = ["embed"]
