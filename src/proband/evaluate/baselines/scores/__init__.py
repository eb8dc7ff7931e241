"""scores: baselines on age, sex, components of ancestry and polygenic scores."""
