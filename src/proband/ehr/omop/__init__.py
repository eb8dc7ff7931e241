"""OMOP: tables of the common data model as MEDS events, by one Ibis expression for every engine.

Reads: a folder, zip, DuckDB file or database of OMOP tables. Gives: events, codes, births, accounts of rows.
Next: meds. Not done here: rules that hold for every source of events.
"""
