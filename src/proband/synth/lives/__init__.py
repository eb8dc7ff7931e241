"""Lives of the synthetic biobank: competing hazards, diagnosis, treatment, and the true risks."""
