"""polygenic: liabilities, linkage disequilibrium, weights and scoring files of many methods."""
