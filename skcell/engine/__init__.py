"""The training engine: it takes a compiled model from a pool, or builds it, and trains it.

It depends on Keras and NumPy, not on any estimator. CONTRIBUTING.md explains how it trains.
"""

from skcell.engine._batches import ImageBatches
from skcell.engine._callbacks import (
    EpochProgress,
    LayerwiseLearningRate,
    LearningRate,
    copy_callback,
    is_foreign,
    portable_callback,
)
from skcell.engine._compiled_model import CompiledModel, build
from skcell.engine._data import TrainingData
from skcell.engine._devices import count_devices
from skcell.engine._loop import train
from skcell.engine._optimizers import OPTIMIZERS, make_optimizer
from skcell.engine._pool import ModelLease, clear_model_pool
from skcell.engine._recipe import Recipe
from skcell.engine._steps import make_forward

__all__ = [
    "OPTIMIZERS",
    "CompiledModel",
    "EpochProgress",
    "ImageBatches",
    "LayerwiseLearningRate",
    "LearningRate",
    "ModelLease",
    "Recipe",
    "TrainingData",
    "build",
    "clear_model_pool",
    "copy_callback",
    "count_devices",
    "is_foreign",
    "make_forward",
    "make_optimizer",
    "portable_callback",
    "train",
]
