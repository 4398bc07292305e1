"""Encoded pictures to pixels of a wanted size."""
