"""The data contract: what is taken for images, paths and labels, and the sentences for the rest."""

import enum
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcell import CellCNNClassifier, ImageAugmenter, ImageSMOTE
from skcell._images._contract import check_images
from skcell._images._labels import check_labels
from skcell._images._pixels import find_range, warn_unused_bits
from skcell.exceptions import PixelRangeWarning


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{i}.png") for i in range(6)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return paths


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "objects": lambda x: np.array(x, dtype=object),
    "bytes": lambda x: [path.encode() for path in x],
    "paths": lambda x: [Path(path) for path in x],
    "column": lambda x: np.array(x)[:, None],
    "lists of one": lambda x: [[path] for path in x],
    "StringDType": lambda x: np.array(x, dtype=np.dtypes.StringDType()),
    "series": lambda x: pytest.importorskip("pandas").Series(x),
    "index": lambda x: pytest.importorskip("pandas").Index(x),
    "data frame": lambda x: pytest.importorskip("pandas").DataFrame({"file": x}),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_paths_are_paths_whatever_holds_them(files, kind):
    X, spec = check_images(CONTAINERS[kind](files), image_shape=(8, 8, 3))
    assert X.tolist() == files
    assert spec.layout == "paths"


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_path_is_named_by_its_place(files, missing):
    with pytest.raises(ValueError, match=r"no path at position 2: (nan|None)"):
        check_images([*files[:2], missing])


class Endless:
    """An iterator that never ends, as Keras' ImageDataGenerator.flow."""

    def __iter__(self):
        return self

    def __next__(self):
        return np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2)

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    "X", [Endless(), {"X": 1}, Path(".").glob("*"), (i for i in range(3)), {1, 2}], ids=type
)
@pytest.mark.parametrize("method", ["fit", "predict", "fit_resample"])
def test_what_is_no_array_is_said_with_what_to_pass(X, method):
    cells = np.zeros((8, 8, 8, 3), np.uint8)
    y = np.repeat([0, 1], 4)
    small = CellCNNClassifier(filters=(2,), dense_units=2, epochs=1)
    call = {
        "fit": lambda: small.fit(X, y),
        "predict": lambda: small.fit(cells, y).predict(X),
        "fit_resample": lambda: ImageSMOTE().fit_resample(X, y),
    }[method]
    with pytest.raises(TypeError, match=rf"X is a {type(X).__name__}.*np\.concatenate"):
        call()


def test_tf_data_is_said_as_well():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(np.zeros((4, 8, 8, 3), np.uint8)).batch(2)
    with pytest.raises(TypeError, match=r"tf\.data"):
        check_images(data)


def test_one_image_is_not_several():
    with pytest.raises(ValueError, match="one PIL image"):
        check_images(Image.new("RGB", (8, 8)))
    X, y = np.random.default_rng(0).integers(0, 256, (8, 9, 8), np.uint8), np.repeat([0, 1], 4)
    clf = CellCNNClassifier(filters=(2,), dense_units=2, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"the shape of one image.*images\[:1\]"):
        clf.predict(X[0])


def test_an_image_that_could_not_be_read_is_named():
    images = [np.zeros((8, 8, 3), np.uint8), None]
    with pytest.raises(ValueError, match=r"None instead of an image at position 1.*imread"):
        check_images(images)


@pytest.mark.parametrize("take", [check_images, lambda X: ImageAugmenter().fit_resample(X, [0, 1])])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_is_refused_with_the_move_that_mends_it(take, dtype, channels):
    X = np.zeros((2, channels, 28, 24), dtype)
    with pytest.raises(ValueError, match=r"np\.moveaxis\(X, 1, -1\)"):
        take(X)
    assert check_images(np.moveaxis(X, 1, -1))[1].shape == (28, 24, channels)


def test_rows_are_not_read_as_channels_first():
    with pytest.raises(ValueError, match="moveaxis"):
        check_images(np.zeros((2, 3 * 28 * 28), np.uint8), image_shape=(3, 28, 28))


def test_volumes_and_many_channels_first_are_warned_of():
    for shape in ((28, 28, 28), (10, 28, 28)):
        with pytest.warns(PixelRangeWarning, match="choose a plane"):
            check_images(np.zeros((2, *shape), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_images(np.zeros((2, 28, 28, 12), np.uint8))


@pytest.mark.parametrize(("bits", "factor"), [(10, 64), (12, 16), (14, 4)])
def test_unused_bits_are_warned_of_with_the_factor(bits, factor):
    X = np.full((2, 8, 8), (1 << bits) - 1, np.uint16)
    with pytest.warns(PixelRangeWarning, match=rf"{bits} bits, .* X \* {factor}\."):
        warn_unused_bits(X.dtype, find_range(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unused_bits(X.dtype, find_range(X * factor))
        warn_unused_bits(np.dtype(np.uint8), (0.0, 0.0))


def test_unused_bits_of_files_are_warned_of(tmp_path):
    paths = []
    for i in range(6):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(np.full((8, 8), 4000 + i, np.uint16)).save(paths[-1])
    clf = CellCNNClassifier(filters=(2,), dense_units=2, epochs=1, image_shape=(8, 8, 1))
    with pytest.warns(PixelRangeWarning, match="12 bits"):
        clf.fit(paths, np.arange(6) % 2)


class Kind(enum.Enum):
    A = 1
    B = 2


LABELS = [
    ([0, None, 1], "y lacks the label of 1 image.*first at 1"),
    (["a", "b", np.nan], "y lacks the label of 1 image.*first at 2"),
    ([0.0, np.nan, 1.0], "y lacks the label of 1 image.*first at 1"),
    ([Kind.A, Kind.B, Kind.A], r"y holds Kind members; .*item\.name"),
    (["a", 1, "b"], r"y mixes .*first at 1.*np\.asarray\(y, str\)"),
    (np.eye(3), r"argmax\(axis=1\)"),
    ([0, 1], "inconsistent numbers of samples"),
]


@pytest.mark.parametrize(("y", "message"), LABELS, ids=str)
def test_labels_that_cannot_be_used_are_named(y, message):
    with pytest.raises(ValueError, match=message):
        check_labels(y, 3)


def test_missing_labels_of_pandas_are_named():
    pd = pytest.importorskip("pandas")
    for values in (pd.Series(["a", pd.NA, "b"]), pd.array([1, None, 2], dtype="Int64")):
        with pytest.raises(ValueError, match=r"y lacks the label of 1 image.*first at 1"):
            check_labels(values, 3)


def test_groups_are_named_as_groups(files):
    clf = CellCNNClassifier(filters=(2,), dense_units=2, epochs=1, early_stopping=True)
    X, y = np.zeros((8, 8, 8, 3), np.uint8), np.repeat([0, 1], 4)
    with pytest.raises(ValueError, match="groups has shape"):
        clf.fit(X, y, groups=np.zeros((8, 2)))
    with pytest.raises(ValueError, match="groups mixes numbers"):
        clf.fit(X, y, groups=["a", 1] * 4)
    with pytest.raises(ValueError, match="groups lacks the entry of 1"):
        clf.fit(X, y, groups=[None, *"abcdefg"])
