"""proband: a genomics-native foundation model for electronic health records.

Stages, each a folder here and a sub-command of ``proband``:
synth, ehr, genome, tokens, train, forecast, evaluate, report.
They meet only in files whose columns :mod:`proband.core.schema` declares.
"""

import os

__version__ = "0.1.0"

# OpenMP reads this once, when PyTorch loads it. Its threads wait for one another at the end of every
# operation, by default for milliseconds in a loop: beside other work on the same cores a training then takes
# ten times as long. After a thousand turns of the loop, some microseconds, they now sleep.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
