"""relatives: families, pedigrees, inheritance and the kinship that follows."""
