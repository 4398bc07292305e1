"""What a run saves, and what another can start from."""
