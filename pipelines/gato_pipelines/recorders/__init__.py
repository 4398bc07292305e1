"""One module per recorder, each with a dataclass `Recorder`: who plays in which simulator, as RLDS."""

RECORDERS = ("atari", "babyai", "dm-control", "meta-world", "procgen", "sokoban")
"""Names of the recorders, of which each is a module here with underscores for hyphens."""
