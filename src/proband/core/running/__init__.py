"""running: where and how work runs: processes, devices, compiled functions, progress.

Gives: a map over shards, the process group, a device, progress lines, numba functions.
Next: every stage. Not done here: what is computed.
"""
