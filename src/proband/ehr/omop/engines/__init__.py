"""Engines that hold OMOP tables and run the expressions over them: PostgreSQL, Spark, BigQuery.

Reads: an address, credentials from the environment and the engine's own files. Gives: tables of Ibis, and
the engine's complaints in one line. Next: omop.export. Not done here: what tables mean; folders, files.
"""
