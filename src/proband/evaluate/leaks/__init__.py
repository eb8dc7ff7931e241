"""leaks: codes in the record at the prediction time that nearly determine an outcome.

Reads: labels of all splits, and the MEDS folder.
Gives: rows of leaks.parquet and a line per outcome that has one.
Next: evaluate.stage. Not done here: values of measurements, of which only the code is looked at.
"""
