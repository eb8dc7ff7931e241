"""events: what one visit or prescription leaves in the record."""
