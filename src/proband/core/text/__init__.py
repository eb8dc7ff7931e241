"""text: tables of text, of kinship, and settings files, as other programs and people write them.

Reads: separators, quotes, blanks, numbers, YAML. Gives: columns of text, values, mappings.
Next: the readers of ehr, genome and tokens. Not done here: what columns mean.
"""
