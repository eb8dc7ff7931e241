"""The smallest count that may leave."""

LEAST = 21
"""The smallest count of subjects that may follow from anything shown; 1 to 20 are suppressed."""
