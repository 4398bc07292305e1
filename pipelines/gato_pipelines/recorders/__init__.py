"""One module per simulator family; each writes real episodes as RLDS."""
