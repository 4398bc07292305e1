"""Texts in files of many kinds, and which of them are the same."""
