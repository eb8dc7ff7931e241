"""formats: readers of PLINK 1 and 2 and of BGEN; VCF has a room of its own."""
