"""MEDS: checked events in shards by split, of whatever source.

Reads: events. Writes: shards, splits, metadata of codes. Gives: readers of the written folder.
Next: task, tokens. Not done here: OMOP.
"""
