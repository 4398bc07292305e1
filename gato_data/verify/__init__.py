"""Is a dataset what it was when it was written: every byte, every index, every number; and mending it."""
