"""check: does a finished page hold what may not leave?

Reads: one HTML file.
Writes: nothing; gives one line per violation.
Config: whether the data are synthetic (counts are then no secret).
Next: nothing.
Not done here: repairs; a judgement of text that no rule describes.
"""

from proband.report.check.run import check as check

__all__ = ["check"]
