"""next_event: the gap to the next event and its code, and their likelihood."""
