"""The gato-data command."""
