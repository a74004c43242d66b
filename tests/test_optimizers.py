"""The fused optimizer takes the steps of Keras' own."""

import keras
import numpy as np
import pytest
from keras import ops

from skcell._optimizers import OPTIMIZERS, make_keras_optimizer, make_optimizer


def steps(optimizer, n=20):
    """Minimise a bowl, and return the positions after each step."""
    variable = keras.Variable(np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4))
    optimizer.build([variable])
    optimizer.learning_rate = 0.05
    found = []
    for i in range(n):
        gradient = 2 * variable.value * (1 + i % 3)
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        found.append(np.array(ops.convert_to_numpy(variable.value)))
    return np.array(found)


@pytest.mark.core
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_takes_the_steps_of_keras(name):
    ours = make_optimizer(name, use_weight_decay=False, lr_scales=False)
    expected = steps(make_keras_optimizer(name, 0.05))
    # TensorFlow's operation rounds 1 - 0.999 to single precision.
    np.testing.assert_allclose(steps(ours), expected, rtol=1e-5, atol=2e-5)


def test_optimizer_of_a_saved_model_is_that_of_keras():
    for name, kind in OPTIMIZERS.items():
        optimizer = make_keras_optimizer(name, 0.02)
        assert type(optimizer) is kind
        assert float(optimizer.learning_rate.value) == pytest.approx(0.02)
