"""selection: which rows are judged, at which outcome and horizon.

Reads: RiskTables and labels. Gives: risk sets, the rows that all models predict, and the predictions made
again and again that can be followed to a horizon. Next: evaluate.metrics. Not done here: labels (ehr.labels).
"""
