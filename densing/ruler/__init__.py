"""How a ladder is read, and how far the reading can be trusted: pure functions over arrays."""
