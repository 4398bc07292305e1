"""What can be played in, one module per family: by an expert, at random, or by a policy."""
