"""One reader per file format in which people have episodes; all of them present RLDS episodes."""
