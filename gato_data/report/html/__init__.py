"""One self-contained page to look at a dataset: no network, no code from elsewhere, all text from data escaped."""
