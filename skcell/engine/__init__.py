"""The training engine: it takes a compiled model from a pool, or builds it, and trains it.

It depends on Keras and NumPy, not on any estimator. CONTRIBUTING.md explains how it trains.
"""

from skcell._optimizers import OPTIMIZERS
from skcell._optimizers import make_keras_optimizer as make_keras_optimizer
from skcell.engine._batches import ImageBatches as ImageBatches
from skcell.engine._callbacks import EpochProgress as EpochProgress
from skcell.engine._callbacks import LayerwiseLearningRate as LayerwiseLearningRate
from skcell.engine._callbacks import LearningRate as LearningRate
from skcell.engine._callbacks import PlainEpochs as PlainEpochs
from skcell.engine._callbacks import SlowTraining as SlowTraining
from skcell.engine._callbacks import copy_callback as copy_callback
from skcell.engine._callbacks import is_foreign as is_foreign
from skcell.engine._callbacks import portable_callback as portable_callback
from skcell.engine._checkpoint import Checkpoint as Checkpoint
from skcell.engine._compiled_model import CompiledModel as CompiledModel
from skcell.engine._compiled_model import build
from skcell.engine._data import TrainingData as TrainingData
from skcell.engine._devices import find_devices as find_devices
from skcell.engine._gradients import make_gradient as make_gradient
from skcell.engine._loop import train
from skcell.engine._pool import ModelLease, clear_model_pool
from skcell.engine._recipe import Recipe
from skcell.engine._steps import Forward as Forward
from skcell.engine._steps import make_forward as make_forward

# The public part; the rest is for other packages of skcell.
__all__ = ["OPTIMIZERS", "ModelLease", "Recipe", "build", "clear_model_pool", "train"]
