"""terms: linear terms of onset hazards, of record and scores, by penalised regression; effects by age."""
