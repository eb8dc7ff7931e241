"""encode: shards of MEDS events to token rows, and token rows to memory-mapped arrays.

Reads: events, a vocabulary. Gives: the arrays of a tokens folder.
Next: tokens.dataset. Not done here: which tokens there are (tokens.vocabulary).
"""
