"""One module per source; the module's name is the source's name on the command line."""
