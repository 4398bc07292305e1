"""Values to token ids and back, one module per modality."""
