"""formats: one reader per format of genotype files."""
