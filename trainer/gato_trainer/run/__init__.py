"""A run from its first step to its last: plan, steps, log, curves and how it stops."""
