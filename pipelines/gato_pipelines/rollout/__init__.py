"""Policies in closed loop: episodes on seeds that nobody trained on, beside chance and experts."""
