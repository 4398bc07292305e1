"""What is on disk: episodes, token sequences, records, shards, indexes, manifests and mixtures."""
