"""Gato's transformer, trained from shards; torch only."""
