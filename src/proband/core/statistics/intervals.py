"""95% intervals of estimates with a normal error."""

from __future__ import annotations

NORMAL_975 = 1.96
"""Half the width of a 95% interval, in standard errors."""
STUDENT_975_4 = 2.776
"""The same of an error that is estimated with 4 degrees of freedom, as by the jackknife over five folds."""
