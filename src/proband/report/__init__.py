"""report: results in, one self-contained page out.

Reads: the results folder of evaluate, and that of realism if given.
Writes: one HTML file with inline figures; no network; with data of people, counts of 1 to 20 suppressed.
Config: none beyond its paths, and whether the data are synthetic.
Next: ``check`` scans the page; it may then leave the enclave.
Not done here: any estimate; figures of single subjects.
"""

from proband.report.check import check as check
from proband.report.stage import report as report

__all__ = ["check", "report"]
