"""What `inspect` gathers from shards and datasets, and how it is drawn: `terminal` and `html`."""
