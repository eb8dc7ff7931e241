"""proband: a genomics-native foundation model for electronic health records.

Stages, each a folder here and a sub-command of ``proband``:
synth, ehr, genome, tokens, train, forecast, evaluate, report.
They meet only in files whose columns :mod:`proband.core.schema` declares.
"""

__version__ = "0.1.0"
