"""Shards and their indexes: the one door by which they are opened, read, written and rebuilt."""
