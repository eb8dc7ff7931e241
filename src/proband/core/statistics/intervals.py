"""95% intervals of estimates with a normal error."""

from __future__ import annotations

NORMAL_975 = 1.96
"""Half the width of a 95% interval, in standard errors."""
