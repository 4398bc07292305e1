"""A trained model that acts: from a checkpoint to actions, with the keys and values of earlier tokens kept."""

from gato_trainer.acting.load import load_policy
from gato_trainer.acting.policy import Policy
from gato_trainer.acting.tasks import PolicyTask

__all__ = ["Policy", "PolicyTask", "load_policy"]
