"""The training engine: it takes a compiled model from a pool, or builds it, and trains it.

It depends on Keras and NumPy, not on any estimator. CONTRIBUTING.md explains how it trains.
"""

from skcell._engine._batches import ImageBatches as ImageBatches
from skcell._engine._callbacks import EpochProgress as EpochProgress
from skcell._engine._callbacks import LayerwiseLearningRate as LayerwiseLearningRate
from skcell._engine._callbacks import LearningRate as LearningRate
from skcell._engine._callbacks import PlainEpochs as PlainEpochs
from skcell._engine._callbacks import SlowTraining as SlowTraining
from skcell._engine._callbacks import copy_callback as copy_callback
from skcell._engine._callbacks import is_foreign as is_foreign
from skcell._engine._callbacks import portable_callback as portable_callback
from skcell._engine._checkpoint import Checkpoint as Checkpoint
from skcell._engine._compiled_model import CompiledModel as CompiledModel
from skcell._engine._compiled_model import build as build
from skcell._engine._data import TrainingData as TrainingData
from skcell._engine._devices import find_devices as find_devices
from skcell._engine._gradients import make_gradient as make_gradient
from skcell._engine._loop import train as train
from skcell._engine._pool import ModelLease as ModelLease
from skcell._engine._pool import clear_model_pool as clear_model_pool
from skcell._engine._recipe import Recipe as Recipe
from skcell._engine._steps import Forward as Forward
from skcell._engine._steps import make_forward as make_forward
from skcell._optimizers import OPTIMIZERS as OPTIMIZERS
from skcell._optimizers import make_keras_optimizer as make_keras_optimizer
