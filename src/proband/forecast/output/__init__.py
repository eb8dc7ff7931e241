"""output: shards of risks, curves, comparisons and simulated futures in files."""
