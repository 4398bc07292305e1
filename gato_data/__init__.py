"""Episodes to Gato tokens and back, and reading the tokens from disk."""
