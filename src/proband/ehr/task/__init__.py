"""Parts of a task: sets of codes, their files, patterns of events, panels, bounds on values.

Reads: what a task file or a panel holds. Gives: which events make an outcome, and when.
Next: ehr.outcomes (the task file), ehr.labels. Not done here: follow-up and prediction times.
"""
