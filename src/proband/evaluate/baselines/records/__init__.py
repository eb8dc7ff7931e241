"""records: baselines on the record summary, with polygenic scores or without."""
