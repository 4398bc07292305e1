"""Encoded images to pixels of a wanted size."""
