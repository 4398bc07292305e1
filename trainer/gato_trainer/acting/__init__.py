"""A trained model that acts: from a checkpoint to actions, with the keys and values of earlier tokens kept."""
