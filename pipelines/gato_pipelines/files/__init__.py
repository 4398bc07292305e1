"""The files of an input: found, unpacked, unchanged."""
