"""history: what a record held by a date, and when something first happened in it.

Reads: a tokens folder. Gives: record summaries, inputs at dates, first occurrences,
tokens of a task's outcomes.
Next: train, forecast, embed, explain. Not done here: windows for training (tokens.loader).
"""
