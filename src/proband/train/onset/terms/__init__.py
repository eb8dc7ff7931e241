"""terms: linear terms, interactions and effects by time and age of onset hazards, by penalised regression."""
