"""Digests: what they must tell apart, and what they must not."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest

from skcell import CellCNNClassifier, ImageFeatures, TransferClassifier
from skcell._digest import digest, has_own_code
from skcell.study import PLAIN_SETTINGS

FACTOR = 1.0
TABLE = {"factor": 1.0}


def helper(x):
    return x * FACTOR


def through_helper(x):
    return helper(x)


def through_table(x):
    return x * TABLE["factor"]


class Own:
    """A callable with an attribute and a method that calls a helper."""

    def __init__(self):
        self.factor = 1.0

    def __call__(self, x):
        return self.scaled(x)

    def scaled(self, x):
        return helper(x) * self.factor


def enclosed(factor):
    return lambda x: x * factor


@pytest.mark.parametrize(
    "code",
    [helper, through_helper, Own(), functools.partial(through_helper, 1), lambda x: helper(x)],
    ids=lambda c: getattr(c, "__name__", type(c).__name__),
)
def test_a_global_of_a_helper_counts(code, monkeypatch):
    before = digest(code)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 2.0)
    assert digest(code) != before
    monkeypatch.undo()
    assert digest(code) == before


def test_dicts_attributes_closures_and_defaults_count(monkeypatch):
    before = digest(through_table)
    monkeypatch.setitem(TABLE, "factor", 2.0)
    assert digest(through_table) != before
    own = Own()
    before = digest(own)
    own.factor = 2.0
    assert digest(own) != before
    assert digest(enclosed(1)) != digest(enclosed(2))
    assert digest(enclosed(1)) == digest(enclosed(1))
    assert digest(lambda x, n=1: x) != digest(lambda x, n=2: x)


def test_an_edited_helper_in_another_module_counts(tmp_path, monkeypatch):
    (tmp_path / "tools.py").write_text("def scale(x):\n    return x * 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import tools

    def use(x):
        return tools.scale(x)

    before = digest(use)
    namespace = {}
    exec("def scale(x):\n    return x * 2\n", tools.__dict__, namespace)
    monkeypatch.setattr(tools, "scale", namespace["scale"])
    assert digest(use) != before


def test_attributes_of_keras_objects_count():
    loss = keras.losses.CategoricalFocalCrossentropy()
    before = digest(loss)
    loss.gamma = 5.0
    assert digest(loss) != before


@pytest.mark.thorough
def test_it_is_the_same_in_another_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from skcell._digest import digest\nG = {'a': (1, 2)}\n"
        "def h(x):\n    return x * G['a'][0]\n"
        "class C:\n    def __init__(self): self.x = [1, 'a', 2.5]\n"
        "    def __call__(self, y): return h(y)\n"
        "print(digest(h, C(), [(1, 2), (1, 2)], {'b', 'a', 'c'}))\n"
    )
    found = set()
    for seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        )
        found.add(run.stdout)
    assert len(found) == 1


def test_what_contains_itself_ends():
    loop = [1]
    loop.append(loop)
    assert digest(loop) == digest(loop)


def test_installed_code_needs_no_look():
    assert not has_own_code(keras.losses.categorical_crossentropy)
    assert has_own_code(helper)
    assert has_own_code(Own())


def test_weights_count_by_content_and_the_cache_not_at_all(tmp_path):
    one, two = tmp_path / "a.h5", tmp_path / "b.h5"
    one.write_bytes(b"1")
    two.write_bytes(b"1")
    for cls in (ImageFeatures, TransferClassifier):
        same = digest(cls(weights=one)) == digest(cls(weights=str(two), cache=False))
        assert same
        before = digest(cls(weights=one))
        two.write_bytes(b"2")
        assert digest(cls(weights=two)) != before
        two.write_bytes(b"1")


def gamma_loss(y, p):
    return keras.ops.sum(y * keras.ops.square(1 - p), axis=-1) * GAMMA


class Scaled:
    """A callable object as a loss."""

    factor = 1.0

    def __call__(self, y, p):
        return keras.ops.sum(y * keras.ops.square(1 - p), axis=-1) * self.factor


GAMMA = 1.0


def test_a_loss_whose_global_changed_is_another_loss(cells, monkeypatch):
    X, y = cells.images[:60], cells.target[:60]

    def train(loss):
        small = {
            **PLAIN_SETTINGS,
            "filters": (4,),
            "dense_units": 8,
            "epochs": 2,
            "optimizer": "sgd",
        }
        return CellCNNClassifier(loss=loss, random_state=0, **small).fit(X, y)

    losses = []
    for gamma in (1.0, 2.0, 4.0):
        monkeypatch.setattr(sys.modules[__name__], "GAMMA", gamma)
        losses.append(train(gamma_loss).history_["loss"][0])
    assert losses[1] == pytest.approx(2 * losses[0], rel=0.2)
    assert losses[2] == pytest.approx(4 * losses[0], rel=0.3)
    scaled = Scaled()
    first = train(scaled).history_["loss"][0]
    scaled.factor = 3.0
    assert train(scaled).history_["loss"][0] == pytest.approx(3 * first, rel=0.3)


def test_training_on_with_a_changed_loss_is_refused(cells, monkeypatch):
    X, y = cells.images[:60], cells.target[:60]
    clf = CellCNNClassifier(
        filters=(4,), dense_units=8, epochs=1, loss=gamma_loss, warm_start=True, random_state=0
    ).fit(X, y)
    clf.fit(X, y)
    monkeypatch.setattr(sys.modules[__name__], "GAMMA", 7.0)
    with pytest.raises(ValueError, match="the code of the loss or of the network was changed"):
        clf.fit(X, y)


OFFSET = 0.0


def shifted(x):
    return keras.layers.Flatten()(x) + OFFSET


def test_kept_features_follow_the_code(tmp_path, cells, monkeypatch):
    X = cells.images[:8]
    features = ImageFeatures(shifted, cache=tmp_path / "features.sqlite")
    before = features.fit(X).transform(X)
    monkeypatch.setattr(sys.modules[__name__], "OFFSET", 1.0)
    after = features.fit(X).transform(X)
    np.testing.assert_allclose(after, before + 1, atol=1e-6)
