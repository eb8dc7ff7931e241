"""terms: linear terms of onset hazards, of the record and of scores, with a ridge penalty."""
