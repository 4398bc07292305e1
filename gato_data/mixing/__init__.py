"""Making mixtures: weights, stages, and the plan of what a run reads."""
