"""Simulators that can be played in: by the players of recorders, or by a policy."""
