"""The commands, one per module; each holds one click command named `command`."""
