"""report: results in, one self-contained page out.

Reads: the results folder of evaluate, and that of realism if given.
Writes: one HTML file with inline figures; no network, no script; counts of 1 to 20 suppressed.
Config: none beyond its paths.
Next: nothing; the page may leave the enclave.
Not done here: any estimate; figures of single subjects.
"""

from proband.report.stage import report as report

__all__ = ["report"]
