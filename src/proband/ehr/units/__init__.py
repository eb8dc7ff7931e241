"""Units of measured values: how they are spelled, and how one is converted to another.

Reads: codes and units as MEDS events record them; analytes.csv (molar masses by LOINC code).
Writes: nothing. Config: none; ``unit`` of an outcome in the task file.
Next: ehr.labels (bounds of outcomes), tokens (value bins). Not done here: events keep the unit recorded.
"""
