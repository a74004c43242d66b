"""ImageFeatures: a backbone as a transformer, each image once."""

import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from scikeras._saving_utils import pack_keras_model
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcell import ImageFeatures, ImageSMOTE
from skcell.preprocessing._extractor import _build
from skcell.preprocessing._feature_store import FeatureStore


def random_backbone(**params):
    return ImageFeatures(
        **{
            "backbone": "mobilenet_v2_0.35",
            "weights": None,
            "input_size": 32,
            "random_state": 0,
            "cache": False,
            **params,
        }
    )


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "deep" / "features.sqlite"


@pytest.mark.thorough
def test_real_weights_tell_real_cells_apart(real_cells, mobilenet_weights):
    X, y = real_cells
    features = ImageFeatures(
        "mobilenet_v2_0.35", weights=mobilenet_weights, input_size=96, cache="memory"
    )
    model = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=2000))
    pretrained = cross_val_score(model, X, y, cv=3).mean()
    untrained = cross_val_score(
        model.set_params(imagefeatures=random_backbone(input_size=96)), X, y, cv=3
    ).mean()
    assert pretrained > 0.75
    assert pretrained > untrained + 0.1


def test_features_are_those_of_the_plain_model(cells, mobilenet_weights):
    features = ImageFeatures("mobilenet_v2_0.35", weights=mobilenet_weights, input_size=32)
    ours = features.set_params(cache=False).fit_transform(cells.images[:10])
    model = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    model.load_weights(mobilenet_weights)
    x = keras.layers.Resizing(32, 32)(cells.images[:10].astype(np.float32) / 127.5 - 1)
    theirs = keras.ops.convert_to_numpy(model(x, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert ours.shape == (10, 1280)
    assert features.get_feature_names_out()[-1] == "imagefeatures1279"


def test_features_of_a_layer_in_the_middle(cells, mobilenet_weights):
    X = cells.images[:10]
    features = ImageFeatures(
        "mobilenet_v2_0.35",
        weights=mobilenet_weights,
        input_size=32,
        layer="block_5_add",
        cache=False,
    )
    ours = features.fit_transform(X)
    model = keras.applications.MobileNetV2((32, 32, 3), 0.35, include_top=False, weights=None)
    model.load_weights(mobilenet_weights)
    model = keras.Model(model.input, model.get_layer("block_5_add").output)
    x = keras.layers.Resizing(32, 32)(X.astype(np.float32) / 127.5 - 1)
    theirs = keras.ops.convert_to_numpy(model(x, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert len(pickle.dumps(features)) < 0.2 * len(
        pickle.dumps(features.set_params(layer=None).fit(X))
    )


def test_small_images_are_enlarged_by_default(cells):
    X = cells.images[:3]
    names = ("backbone", "weights", "cache", "random_state")
    params = {name: getattr(random_backbone(), name) for name in names}
    found = ImageFeatures(**params).fit_transform(X)
    np.testing.assert_array_equal(found, ImageFeatures(**params, input_size=224).fit_transform(X))


def test_an_unknown_layer_is_named(cells):
    with pytest.raises(ValueError, match=r"no layer 'block_5'.*Did you mean .block_5_add'.*Conv_1"):
        random_backbone(layer="block_5").fit(cells.images)


def test_each_image_goes_through_the_network_once(cells, cache, computed):
    X, y = cells.images[:60], cells.target[:60]
    model = make_pipeline(random_backbone(cache=cache, input_size=32), LogisticRegression())
    cross_val_score(model, X, y, cv=3)
    cross_val_score(model.set_params(logisticregression__C=0.1), X, y, cv=3)
    assert sum(computed) == len(np.unique(X, axis=0))


def test_cached_features_are_the_same(cells, cache):
    X = cells.images[:30]
    plain = random_backbone().fit(X).transform(X)
    kept = random_backbone(cache=cache).fit(X)
    np.testing.assert_array_equal(kept.transform(X), kept.transform(X))
    np.testing.assert_allclose(kept.transform(X[::-1])[::-1], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"pooling": "max"},
        {"input_size": 40},
        {"layer": "block_5_add"},
        {"backbone": "mobilenet_v2_0.5"},
        {"dtype_policy": "mixed_bfloat16"},
    ],
    ids=str,
)
@pytest.mark.thorough
def test_the_cache_is_never_stale(cells, cache, computed, change):
    X = cells.images[:8]
    random_backbone(cache=cache, input_size=32).fit(X).transform(X)
    changed = random_backbone(cache=cache, **{"input_size": 32, **change}).fit(X)
    kept = changed.transform(X)
    assert computed == [8, 8]
    np.testing.assert_array_equal(kept, changed.set_params(cache=False).transform(X))


def test_functions_that_differ_in_a_number_are_told_apart(cells, cache):
    X = cells.images[:4]
    one, two = (
        ImageFeatures(backbone, cache=cache).fit_transform(X)
        for backbone in (lambda x: x * 2.0, lambda x: x * 3.0)
    )
    np.testing.assert_allclose(one * 1.5, two, rtol=1e-5)


def test_features_are_found_again_whatever_else_was_built(cells, cache, computed):
    X = cells.images[:4]
    random_backbone(cache=cache).fit_transform(X)
    _build.cache_clear()
    keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Rescaling(1.0)])
    x = keras.Input((2,))
    pack_keras_model(keras.Model(x, keras.layers.Dense(1)(x)))  # as scikeras copies and pickles
    random_backbone(cache=cache).fit_transform(X)
    assert computed == [4]


@pytest.mark.thorough
def test_replaced_weights_are_noticed(cells, cache, tmp_path):
    X, file = cells.images[:4], tmp_path / "net.weights.h5"
    values = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        keras.applications.MobileNetV2(
            (32, 32, 3), 0.35, include_top=False, weights=None
        ).save_weights(file)
        features = ImageFeatures("mobilenet_v2_0.35", weights=file, cache=cache, input_size=32)
        values.append(features.fit_transform(X))
    assert (values[0] != values[1]).any()


def test_one_changed_pixel_is_another_image(cells, cache, computed):
    X = cells.images[:3].copy()
    features = random_backbone(cache=cache).fit(X)
    features.transform(X)
    X[1, 0, 0, 0] ^= 1
    features.transform(X)
    assert computed == [3, 1]


def test_models_and_functions_serve_as_backbones(cells):
    X = cells.images[:6]
    inputs = keras.Input((24, 24, 3))
    net = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    features = ImageFeatures(net, cache=False).fit(X)
    expected = keras.ops.convert_to_numpy(net(X / np.float32(255))).mean(axis=(1, 2))
    np.testing.assert_allclose(features.transform(X), expected, rtol=1e-4, atol=1e-5)
    mean = ImageFeatures(lambda x: x, cache=False).fit_transform(X)
    np.testing.assert_allclose(mean, X.mean(axis=(1, 2)) / 255, rtol=1e-4)


def test_grey_files_and_rows_are_taken(cells, tmp_path):
    X = cells.images[:5]
    grey = random_backbone().fit(X[..., 0])
    assert grey.transform(X[..., 0]).shape == (5, 1280)
    paths = []
    for i, image in enumerate(X):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    params = {"image_shape": (24, 24, 3), "input_size": 32}
    from_files = random_backbone(**params).fit_transform(paths)
    from_rows = random_backbone(**params).fit_transform(X.reshape(5, -1))
    np.testing.assert_allclose(from_files, from_rows, rtol=1e-5)


def test_more_channels_than_three_are_refused(cells):
    X = np.concatenate([cells.images[:4]] * 2, axis=3)
    with pytest.raises(ValueError, match=r"these have 6 channels; choose one or three"):
        random_backbone().fit(X)


def test_unknown_backbones_are_named(cells):
    with pytest.raises(ValueError, match=r"no backbone 'inceptionv3'. Did you mean 'inception_v3'"):
        ImageFeatures("inceptionv3").fit(cells.images)


def test_smote_finds_neighbours_by_what_cells_look_like(cells):
    X, y = cells.images[:60], np.r_[np.zeros(45, int), np.ones(15, int)]
    smote = ImageSMOTE(feature_space=random_backbone(input_size=32), random_state=0)
    images, labels = smote.fit_resample(X, y)
    assert np.bincount(labels).tolist() == [45, 45]
    assert images.dtype == np.uint8


@pytest.mark.thorough
def test_a_pickle_holds_the_weights_once_and_works_elsewhere(cells, tmp_path, mobilenet_weights):
    X = cells.images[:4]
    weights = tmp_path / "net.weights.h5"
    weights.write_bytes(mobilenet_weights.read_bytes())
    features = ImageFeatures(
        "mobilenet_v2_0.35", weights=str(weights), cache=False, input_size=32
    ).fit(X)
    stored = pickle.dumps(features)
    assert 1 < len(stored) / (4 * 410_208) < 1.2
    again = pickle.loads(stored)
    assert again._extractor.model is features._extractor.model, "in one process, once"
    weights.unlink()
    file = tmp_path / "features.pickle"
    file.write_bytes(stored)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, sys, numpy as np; from pathlib import Path; d = Path(sys.argv[1]);"
        "f = pickle.loads((d / 'features.pickle').read_bytes());"
        "np.save(d / 'out.npy', f.transform(np.load(d / 'X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), features.transform(X), rtol=1e-5)


def test_clones_share_the_network(cells):
    features = random_backbone().fit(cells.images[:4])
    again = clone(features).fit(cells.images[:4])
    assert again._extractor is features._extractor


# The store


def rows(n, start=0):
    return {i.to_bytes(16, "big"): np.full(100, i, np.float32) for i in range(start, start + n)}


@pytest.mark.parametrize("where", [":memory:", "file"])
def test_store_finds_what_was_put(where, cache):
    store = FeatureStore(cache if where == "file" else where)
    store.put(b"one", rows(700))
    store.put(b"two", rows(3))
    found = store.get(b"one", [*rows(700), b"unknown"])
    assert {key: value.tolist() for key, value in found.items()} == {
        key: value.tolist() for key, value in rows(700).items()
    }
    assert len(store.get(b"two", list(rows(700)))) == 3
    assert store.get(b"three", list(rows(3))) == {}


def test_store_is_bounded_and_forgets_the_oldest(cache):
    store = FeatureStore(cache, max_bytes=300_000)
    for start in range(0, 5000, 100):
        store.put(b"k", rows(100, start))
        assert cache.stat().st_size < 600_000
    newest, oldest = list(rows(100, 4900)), list(rows(100))
    assert len(store.get(b"k", newest)) == 100
    assert not store.get(b"k", oldest)


def test_processes_share_a_store_and_a_killed_one_leaves_it_whole(cache):
    code = (
        "import sys, numpy as np; from skcell.preprocessing._feature_store import FeatureStore;"
        "store = FeatureStore(sys.argv[1]); who = int(sys.argv[2]); print('on', flush=True)\n"
        "for i in range(10**9 if who == 9 else 40):\n"
        "    store.put(b'k', {(1000 * who + i).to_bytes(16, 'big'): np.full(50, who, np.float32)})"
    )
    start = [sys.executable, "-c", code, str(cache)]
    killed = subprocess.Popen([*start, "9"], stdout=subprocess.PIPE)
    assert killed.stdout.readline() == b"on\n"
    workers = [subprocess.Popen([*start, str(who)]) for who in (1, 2, 3)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    killed.kill()
    killed.wait(60)
    store = FeatureStore(cache)
    for who in (1, 2, 3):
        found = store.get(b"k", [(1000 * who + i).to_bytes(16, "big") for i in range(40)])
        assert len(found) == 40
        assert all((value == who).all() for value in found.values())


def own(scale=1.0):
    inputs = keras.Input((24, 24, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs * scale))


def test_a_function_over_a_model_sees_its_weights_of_now(cells):
    X, model = cells.images[:3], own()
    backbone = lambda x: model(x)  # noqa: E731 # one function, before and after
    before = ImageFeatures(backbone, cache=False, random_state=0).fit_transform(X)
    model.set_weights([w * 2 for w in model.get_weights()])
    after = ImageFeatures(backbone, cache=False, random_state=0).fit_transform(X)
    np.testing.assert_allclose(after, 2 * before, rtol=1e-4)


EDITED = """
import sys
import keras, numpy as np
from skcell import ImageFeatures
K = float(sys.argv[2])

@keras.saving.register_keras_serializable("mine")
class Stain(keras.layers.Layer):
    def call(self, x):
        return x * K

inputs = keras.Input((8, 8, 3))
X = np.full((2, 8, 8, 3), 51, np.uint8)
features = ImageFeatures(keras.Model(inputs, Stain()(inputs)), cache=sys.argv[1])
print(features.fit_transform(X).mean())
"""


@pytest.mark.thorough
def test_edited_code_of_a_layer_is_another_backbone(tmp_path):
    found = [
        subprocess.run(
            [sys.executable, "-c", EDITED, str(tmp_path / "features.sqlite"), factor],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for factor in ("1", "3")
    ]
    assert [round(float(text), 3) for text in found] == [0.2, 0.6]


def test_a_cache_that_cannot_be_written_is_said(cells, tmp_path, monkeypatch):
    X = cells.images[:2]
    (tmp_path / "text").write_text("no database, and longer than the head of one would be" * 9)
    for cache in (tmp_path / "text", tmp_path):
        with pytest.warns(UserWarning, match=r"Features cannot be kept in .*Set cache=False"):
            found = random_backbone(cache=cache).fit_transform(X)
        np.testing.assert_array_equal(found, random_backbone(cache=False).fit_transform(X))
    monkeypatch.setenv("SKCELL_DATA_HOME", "/proc/no")
    with pytest.warns(UserWarning, match=r"cannot be kept .* computed anew each time"):
        random_backbone(cache=np.True_).fit_transform(X)


# Beside the rest of scikit-learn


def test_features_have_names(cells):
    features = random_backbone().fit(cells.images[:9])
    names = features.get_feature_names_out()
    assert len(names) == features.transform(cells.images[:9]).shape[1]
    assert names[0] == "imagefeatures0"


def test_a_column_of_paths_among_others(cells, tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas comes with skcell[tests]")
    from sklearn.compose import ColumnTransformer

    paths = []
    for i, pixels in enumerate(cells.images[:12]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(pixels).save(paths[-1])
    table = pandas.DataFrame({"file": paths, "age": np.arange(12.0)})
    columns = ColumnTransformer(
        [("cell", random_backbone(), "file"), ("age", StandardScaler(), ["age"])]
    )
    out = columns.fit_transform(table)
    alone = random_backbone().fit_transform(cells.images[:12])
    np.testing.assert_allclose(out[:, :-1], alone, atol=1e-5)
    assert columns.get_feature_names_out()[-1] == "age__age"
    columns.set_output(transform="pandas")
    assert columns.fit_transform(table).shape == out.shape


def test_data_frames_as_output_change_no_prediction(cells):
    from sklearn import config_context

    from skcell import TransferClassifier

    pytest.importorskip("pandas", reason="pandas comes with skcell[tests]")
    X, y = cells.images[:60], cells.target[:60]
    clf = TransferClassifier(
        "mobilenet_v2_0.35",
        weights=None,
        input_size=32,
        unfreeze=None,
        epochs=1,
        cache=False,
        random_state=0,
    )
    plain = cross_val_score(clf, X, y, cv=2)
    with config_context(transform_output="pandas"):
        framed = cross_val_score(clf, X, y, cv=2, error_score="raise")
        model = make_pipeline(random_backbone(), LogisticRegression())
        assert model.fit(X, y).predict(X).shape == (60,)
    np.testing.assert_array_equal(plain, framed)


@pytest.mark.parametrize("trouble", ["damaged", "folder", "locked"])
def test_a_cache_in_trouble_costs_a_warning_and_no_fit(cells, tmp_path, trouble, monkeypatch):
    import sqlite3

    file = tmp_path / "features.sqlite"
    plain = random_backbone().fit_transform(cells.images[:9])
    held = None
    if trouble == "damaged":
        file.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    elif trouble == "folder":
        file.mkdir()
    else:
        held = sqlite3.connect(file, isolation_level=None)
        held.execute("CREATE TABLE other (x)")
        held.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(FeatureStore, "timeout", 0.1)
    try:
        with pytest.warns(UserWarning, match=r"Features cannot be kept in .*features\.sqlite"):
            out = random_backbone(cache=file).fit_transform(cells.images[:9])
    finally:
        if held is not None:
            held.close()
    np.testing.assert_array_equal(out, plain)


def test_a_function_of_keras_itself_is_named(cells):
    with pytest.raises(ValueError, match=r"is keras\.applications\.MobileNetV2 itself"):
        ImageFeatures(keras.applications.MobileNetV2).fit(cells.images[:2])


def test_true_as_cache_is_the_file_at_home(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("SKCELL_DATA_HOME", str(tmp_path))
    random_backbone(cache=True).fit_transform(cells.images[:9])
    assert (tmp_path / "features.sqlite").is_file()
