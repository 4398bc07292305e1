"""One module per recorder, each with a dataclass `Recorder`: what is played in, as RLDS."""

RECORDERS = ("atari", "babyai", "dm-control", "gymnasium", "meta-world", "procgen", "sokoban")
"""Names of the recorders, of which each is a module here with underscores for hyphens."""
