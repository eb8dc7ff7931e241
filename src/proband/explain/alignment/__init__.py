"""alignment: learnt effects of scores beside those of Cox models on the same data and published ones.

Reads: a model's linear terms, records, a genome folder, a table of published effects. Writes: effects, and
how far they agree. Config: none. Next: nothing. Not done here: effects of codes.
"""
