"""The same verbs at scale: sources, ingest and recorders on Apache Beam."""
