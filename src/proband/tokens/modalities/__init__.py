"""modalities: what is known of subjects beside their records, such as scores or a panel of measurements.

Reads: the genome folder, Parquet files. Gives: tables of values by subject and age.
Next: tokens.loader, the model's encoders. Not done here: making the scores (genome).
"""
