"""core: what every stage shares.

Reads and writes nothing of its own: it declares tables (schema), errors, units, random streams (seeds),
manifests and provenance (whole-or-nothing output folders), the shard engine, and the typed ``Batch`` between
data and model. Not done here: anything that knows a disease, a score or a layer.
"""
