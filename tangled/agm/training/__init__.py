"""Training on one or many machines: one loop that resumes exactly."""

# book/appendices/b-training.qmd § What can go wrong
from agm.training.config import LOOP_VERSION, TrainingConfig, learning_rate_at
from agm.training.errors import CheckpointError, Interrupted, MismatchError, NonFiniteError, TrainingError
from agm.training.loop import train
from agm.training.metrics import read_metrics
from agm.training.noise import StepContext, seeded
from agm.training.tasks import Evaluated, Task, TrainingResult
from agm.training.weights import load_model

__all__ = [
    "LOOP_VERSION",
    "CheckpointError",
    "Evaluated",
    "Interrupted",
    "MismatchError",
    "NonFiniteError",
    "StepContext",
    "Task",
    "TrainingConfig",
    "TrainingError",
    "TrainingResult",
    "learning_rate_at",
    "load_model",
    "read_metrics",
    "seeded",
    "train",
]
