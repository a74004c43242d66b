"""Compiled programs: lent, reset, bounded."""

import gc
import random
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from skcell._engine import ModelLease, Recipe, _pool, build, clear_model_pool
from skcell.networks import cnn

pytestmark = pytest.mark.core


def recipe(**changes):
    params = {
        "network": cnn,
        "kwargs": (("dense_units", 8), ("dropout", 0.2), ("filters", (4,))),
        "input_shape": (8, 8, 1),
        "dtype": "uint8",
        "n_classes": 3,
        "augmentation": (("rotation", 0.1),),
        **changes,
    }
    return Recipe(**params)


@pytest.fixture(autouse=True)
def _empty():
    gc.collect()
    clear_model_pool()
    yield
    clear_model_pool()


def values(model):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.variables]


def test_build_is_a_function_of_its_seed_and_leaves_global_state():
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()
    policy = keras.config.dtype_policy().name
    one, same, other = (
        values(build(recipe(dtype_policy="mixed_bfloat16"), seed)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    assert random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert keras.config.dtype_policy().name == policy


def test_a_reset_program_is_a_new_one():
    used = ModelLease(recipe(), seed=1)
    program = used.compiled
    X = np.random.default_rng(0).integers(0, 255, (32, 8, 8, 1)).astype(np.uint8)
    program.model.fit(X, np.eye(3)[np.arange(32) % 3], epochs=2, verbose=0)
    del used
    again = ModelLease(recipe(), seed=7)
    assert again.compiled is program
    fresh = ModelLease(recipe(), seed=7)
    assert fresh.compiled is not program
    expected = fresh.compiled.get_state()
    for _ in range(3):  # the same seed again takes a shorter way
        for a, b in zip(again.compiled.get_state(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        program.model.fit(X, np.eye(3)[np.arange(32) % 3], verbose=0)
        del again
        again = ModelLease(recipe(), seed=7)
        assert again.compiled is program


def test_an_idle_lease_lends_its_model_and_gets_its_state_again():
    X = np.random.default_rng(0).integers(0, 255, (5, 8, 8, 1)).astype(np.uint8)
    one, other = ModelLease(recipe(), seed=1), None
    with one.use() as program:
        before, expected = program.get_state(), program.forward(X)
        inside = ModelLease(recipe(), seed=3)  # a model that is in use is not taken
        with inside.use() as second:
            assert second is not program
    del inside
    gc.collect()
    clear_model_pool()
    other = ModelLease(recipe(), seed=2)
    with other.use() as used:
        assert used is program
        assert (used.forward(X) != expected).any()
    with one.use() as again:
        assert again is program, "taken back, since the other lease is idle"
        np.testing.assert_array_equal(again.forward(X), expected)
        for a, b in zip(again.get_state(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    kept = other.compiled  # for good
    assert kept is program
    with one.use() as last:
        assert last is not kept
        np.testing.assert_array_equal(last.forward(X), expected)


def test_leases_of_many_threads_do_not_disturb_each_other():
    X = np.random.default_rng(0).integers(0, 255, (9, 8, 8, 1)).astype(np.uint8)
    leases = [ModelLease(recipe(), seed) for seed in range(4)]

    def predict(lease):
        with lease.use() as program:
            return program.forward(X)

    expected = [predict(lease) for lease in leases]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):
            for found, right in zip(pool.map(predict, leases), expected, strict=True):
                np.testing.assert_array_equal(found, right)


def test_programs_without_owner_are_bounded(monkeypatch):
    monkeypatch.setattr(_pool, "MAX_IDLE", 2)
    kept = [ModelLease(recipe(n_classes=n), seed=0) for n in (2, 3, 4)]
    oldest = kept[0].compiled
    while kept:
        kept.pop(0)
    ModelLease(recipe(n_classes=5), seed=0)
    assert len(_pool._available) <= 2
    assert oldest not in _pool._available, "the least recently used goes first"


@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_forward_takes_any_number(n):
    network = ModelLease(recipe(), seed=0)
    X = np.zeros((n, 8, 8, 1), np.uint8)
    out = network.compiled.forward(X)
    assert out.shape == (n, 3)
    np.testing.assert_allclose(out, network.compiled.model.predict(X, verbose=0), atol=1e-6)


def test_weight_decay_spares_biases_and_reads_its_value_at_run_time():
    network = ModelLease(recipe(use_weight_decay=True, augmentation=None), seed=0)
    model = network.compiled.model
    model.optimizer.learning_rate = 1.0
    before = network.compiled.get_state()
    X = np.zeros((4, 8, 8, 1), np.uint8)
    for decay, factor in ((0.0, 1.0), (0.5, 0.5)):
        network.compiled.set_state(before)
        network.compiled.weight_decay.assign(decay)
        # Weights of zero leave the decay as the only change.
        model.fit(X, np.eye(3)[[0, 1, 2, 0]], sample_weight=np.zeros(4), verbose=0)
        kernel = keras.ops.convert_to_numpy(model.layers[3].kernel.value)
        np.testing.assert_allclose(kernel, before[0] * factor, rtol=1e-5)
