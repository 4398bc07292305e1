"""The ingest pipeline, from the parts of an input to a manifest."""
