"""Pairs of an image and a text: where they are listed, their order, and documents made of several."""
