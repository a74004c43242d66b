"""Planted and real faults of data sets are found, and nothing is told of clean ones."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, shift
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from skcell.cleaning import (
    check_dataset,
    find_batches,
    find_duplicates,
    find_label_issues,
    find_outliers,
    find_shortcuts,
    suggest_split,
)
from skcell.cleaning._duplicates import SYMMETRIES, apply_symmetry
from skcell.datasets import load_image_folder, make_cells
from skcell.exceptions import ImageReadError


@pytest.fixture(scope="module")
def drawn():
    """120 drawn cells of two classes, 48x48."""
    return make_cells(120, n_classes=2, image_size=48, random_state=0)


@pytest.fixture(scope="module")
def many():
    """300 drawn cells of two classes, 32x32."""
    return make_cells(300, n_classes=2, image_size=32, random_state=0)


def with_copy(images, copy):
    return np.concatenate([images, np.asarray(copy, images.dtype)[None]])


# Copies


@pytest.mark.parametrize("number", range(8))
def test_every_symmetry_is_found_and_named(drawn, number):
    copy = np.moveaxis(apply_symmetry(np.moveaxis(drawn.images[3], 2, 0), number), 0, 2)
    copy = np.clip(copy * 0.9, 0, 255)  # else the first is an exact copy
    found = find_duplicates(with_copy(drawn.images, copy))
    assert found.pairs.tolist() == [[3, 120]]
    (symmetry,) = found.symmetry
    undone = apply_symmetry(np.moveaxis(copy, 2, 0), symmetry)
    assert np.abs(undone / 0.9 - np.moveaxis(drawn.images[3], 2, 0)).max() < 2
    assert SYMMETRIES[symmetry] in found.to_frame().symmetry.tolist()


def recompressed(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    "change",
    [
        recompressed,
        lambda x: np.clip(x * 1.15, 0, 255),
        lambda x: x * 0.7 + 20,
        lambda x: shift(x, (1, -1, 0), order=0, mode="nearest"),
        lambda x: np.asarray(Image.fromarray(x).resize((36, 36)).resize((48, 48))),
        lambda x: recompressed(np.ascontiguousarray(np.rot90(x))),
    ],
    ids=["JPEG", "brighter", "paler", "moved", "resized", "turned and JPEG"],
)
def test_changed_copies_are_found(drawn, change):
    found = find_duplicates(with_copy(drawn.images, change(drawn.images[17])))
    assert found.pairs.tolist() == [[17, 120]]
    assert not found.exact[0]
    assert found.similarity[0] > 0.92


def test_exact_copies_come_first_and_share_a_cluster(drawn):
    images = np.concatenate([drawn.images, drawn.images[[5, 5]], drawn.images[8:9] // 2])
    found = find_duplicates(images)
    assert found.pairs.tolist() == [[5, 120], [5, 121], [8, 122]]
    assert found.exact.tolist() == [True, True, False]
    assert len(set(found.clusters[[5, 120, 121]])) == 1
    assert found.surplus.tolist() == [120, 121, 122]
    assert len(np.unique(found.clusters)) == 120


def test_clean_images_and_blank_ones_have_no_copies(drawn):
    rng = np.random.default_rng(0)
    blank = np.clip(200 + rng.normal(0, 0.4, (5, 48, 48, 3)), 0, 255).astype(np.uint8)
    assert len(find_duplicates(drawn.images)) == 0
    assert not find_duplicates(np.concatenate([drawn.images, blank])).pairs.tolist()


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.uint16) * 257,
        lambda x: (x / 255).astype(np.float32),
        lambda x: x.mean(axis=3).astype(np.uint8),
        lambda x: x[:, :40],
        lambda x: x.reshape(len(x), -1),
    ],
    ids=["uint16", "float", "grey", "not square", "rows"],
)
def test_copies_in_every_kind_of_images(drawn, convert):
    images = convert(np.concatenate([drawn.images, drawn.images[9:10][:, :, ::-1]]))
    shape = {"image_shape": (48, 48, 3)} if images.ndim == 2 else {}
    assert find_duplicates(images, **shape).pairs.tolist() == [[9, 120]]


def test_copies_of_files(drawn, tmp_path):
    files = []
    for i, image in enumerate(with_copy(drawn.images[:20], np.rot90(drawn.images[4]))):
        files.append(str(tmp_path / f"{i}.{'jpg' if i % 2 else 'png'}"))
        Image.fromarray(image).save(files[-1])
    assert find_duplicates(files).pairs.tolist() == [[4, 20]]
    (tmp_path / "3.jpg").write_bytes(b"no image")
    with pytest.raises(ImageReadError, match=r"3\.jpg"):
        find_duplicates(files)


def test_near_copies_within_a_group_are_not_told(drawn):
    images = np.concatenate([drawn.images, drawn.images[:2] // 2 + 60])
    groups = np.arange(122) % 60
    groups[120:] = [0, 30]  # the first copy in the group of its image, the second elsewhere
    assert find_duplicates(images, groups).pairs.tolist() == [[1, 121]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"threshold": 0}, "threshold must be above 0"),
        ({"groups": [1, 2]}, "groups has 2 entries for 120 images"),
    ],
)
def test_wrong_arguments_of_find_duplicates(drawn, arguments, match):
    with pytest.raises(ValueError, match=match):
        find_duplicates(drawn.images, **arguments)


def test_real_cells_have_the_copies_that_are_known(real_folder):
    """Twelve pairs of equal files, one under two labels, and two cells photographed twice."""
    names = [
        "eosinophil/EO_225902",
        "neutrophil/BNE_191112",
        "basophil/BA_381452",
        "basophil/BA_80990",
        "eosinophil/EO_246684",
        "eosinophil/EO_409717",
        "ig/IG_466905",
        "ig/IG_855229",
    ]
    others = sorted((real_folder / "train").glob("*/*.jpg"))[::40]
    files = [str(real_folder / "train" / f"{name}.jpg") for name in names]
    files += [str(file) for file in others if str(file) not in files]
    labels = np.array([file.split("/")[-2] for file in files])
    check = check_dataset(files, labels)
    pairs = {tuple(sorted(pair)) for pair in check.duplicates.pairs.tolist()}
    assert pairs == {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert check.duplicates.exact.tolist() == [True, True, False, False]
    (two_labels,) = [one for one in check.findings if one.kind == "two labels"]
    assert two_labels.severity == "error"
    assert sorted(two_labels.indices) == [0, 1]
    assert len(check.batches) == 2, "the lavender background is a batch of its own"


# Splits


def test_a_split_keeps_copies_and_groups_together(drawn):
    images = np.concatenate([drawn.images, drawn.images[:40, ::-1]])
    labels = np.concatenate([drawn.target, drawn.target[:40]])
    duplicates = find_duplicates(images)
    assert len(duplicates) >= 40
    for groups in (None, np.arange(160) // 4):
        split = suggest_split(labels, groups, duplicates=duplicates, random_state=1)
        assert (split[:40] == split[120:]).all()
        assert 0.1 < (split == "test").mean() < 0.35
        assert set(labels[split == "test"]) == set(labels[split == "train"]) == {0, 1}
        if groups is not None:
            assert not set(groups[split == "test"]) & set(groups[split == "train"])
    assert (suggest_split(labels, random_state=3) == suggest_split(labels, random_state=3)).all()


@pytest.mark.parametrize("size", [0, 1, -1])
def test_wrong_sizes_of_the_test(size):
    with pytest.raises(ValueError, match="test_size must be between 0 and 1"):
        suggest_split([0, 1] * 10, test_size=size)


# Outliers


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("blurred", lambda x: gaussian_filter(x, (3, 3, 0))),
        ("blank", lambda x: np.full_like(x, 220)),
        ("noisy", lambda x: np.random.default_rng(0).integers(0, 256, x.shape)),
        ("dark", lambda x: x * 0.3),
        ("colour", lambda x: x * [0.4, 1.0, 0.4]),
    ],
)
def test_planted_outliers_are_found(drawn, kind, change):
    images = drawn.images.copy()
    images[50] = change(images[50])
    before = find_outliers(drawn.images, drawn.target)
    found = find_outliers(images, drawn.target)
    assert 50 not in before.indices
    assert (50, kind) in zip(found.indices.tolist(), found.kinds.tolist(), strict=True)
    assert set(found.indices) - {50} <= set(before.indices)


def test_a_place_without_a_cell_is_found(real_cells):
    images, labels = real_cells
    images = images.copy()
    chosen = np.flatnonzero(labels == "neutrophil")[:3]
    for i in chosen:
        images[i] = np.median(images[i][:2].reshape(-1, 3), axis=0)
        images[i][:6, :6] = (150, 90, 100)  # a corner of something else
    found = find_outliers(images, labels)
    assert set(chosen) <= set(found.indices)
    assert len(set(found.indices) - set(chosen)) < 0.03 * len(images)


def test_few_images_have_no_outliers(drawn):
    assert len(find_outliers(drawn.images[:10])) == 0
    frame = find_outliers(drawn.images).to_frame()
    assert list(frame) == ["index", "kind", "score", "meaning"]


# Shortcuts and batches


def test_a_mark_in_a_corner_is_a_shortcut(many):
    images = many.images.copy()
    images[many.target == 1, -3:, -3:] = 30
    best = find_shortcuts(images, many.target)[0]
    assert (best.source, best.is_above_chance) == ("border", True)
    assert 0.9 < best.low < best.auc <= best.high <= 1
    assert (many.target[best.examples] == best.label).all()
    check = check_dataset(images, many.target)
    assert [f.severity for f in check.findings if "border alone" in f.message] == ["error"]
    assert not check.passed


@pytest.mark.thorough
def test_labels_at_random_have_no_shortcuts():
    images = make_cells(200, n_classes=4, image_size=32, random_state=1).images
    told = 0
    for seed in range(3):
        labels = np.random.default_rng(seed).integers(0, 4, 200)
        found = find_shortcuts(images, labels, random_state=seed)
        told += sum(one.is_above_chance for one in found)
        assert len(found) == 8
    assert told == 0


@pytest.mark.thorough
def test_the_format_of_files_is_a_shortcut(many, tmp_path):
    files = []
    for i, (image, label) in enumerate(zip(many.images, many.target, strict=True)):
        files.append(str(tmp_path / f"{i}.{'png' if label else 'jpg'}"))
        Image.fromarray(image).save(files[-1], quality=95)
    check = check_dataset(files, many.target, image_shape=(32, 32, 3))
    (told,) = [f for f in check.findings if "file format and dimensions alone" in f.message]
    assert told.severity == "error"


def test_a_class_of_one_patient_is_told(many):
    """Nothing can be said of the border of a class that no other patient has."""
    images = many.images.copy()
    images[many.target == 1, :6, :6] = 0
    check = check_dataset(images, many.target, groups=many.target)
    assert [f.kind for f in check.findings if f.severity == "error"] == ["one group"]
    assert check.shortcuts == []
    three = np.where(many.target == 1, 9, np.arange(300) % 3)
    labels = np.where(many.target == 1, "one", np.where(np.arange(300) % 2, "two", "three"))
    check = check_dataset(images, labels, groups=three)
    assert {s.label for s in check.shortcuts} == {"two", "three"}
    assert any("All images of one come" in f.message for f in check.findings)


def test_what_all_images_share_makes_no_copies():
    """A round mask, a frame and a scale bar; and copies among such images are found."""
    images = make_cells(150, image_size=96, random_state=0).images
    y, x = np.mgrid[:96, :96] - 47.5
    masked, framed, barred = images.copy(), images.copy(), images.copy()
    masked[:, np.hypot(y, x) > 33] = 0
    framed[:, np.maximum(abs(y), abs(x)) > 37] = 0
    barred[:, -8:-5, -40:-6] = 0
    for some in (masked, framed, barred):
        assert len(find_duplicates(some)) == 0
        both = np.concatenate([some, (some[:5] * 0.8).astype(np.uint8)])
        pairs = find_duplicates(both).pairs.tolist()
        assert sorted(pairs) == [[i, 150 + i] for i in range(5)]


@pytest.mark.parametrize("scale", [1e-5, 1.0, 100.0])
def test_copies_do_not_depend_on_the_scale_of_pixels(drawn, scale):
    images = np.concatenate([drawn.images, np.rot90(drawn.images[:3], axes=(1, 2))])
    found = find_duplicates((images / 255 * scale).astype(np.float32))
    assert len(found) == 3


def test_a_large_cluster_does_not_decide_the_size_of_the_test():
    labels = np.repeat([0, 1], 100)
    images = make_cells(200, n_classes=2, image_size=32, random_state=0).images
    images[:80] = images[0]
    duplicates = find_duplicates(images)
    sizes = [
        (suggest_split(labels, duplicates=duplicates, random_state=s) == "test").sum()
        for s in range(5)
    ]
    assert max(sizes) <= 50


@pytest.mark.parametrize("kind", [object, "<U5", "series", int, bool])
@pytest.mark.thorough
def test_labels_of_every_type(drawn, kind):
    names = np.where(drawn.target, "b", "a")
    labels = drawn.target.astype(kind) if kind in (int, bool) else names
    if kind in ("series", object):
        labels = pd.Series(names, dtype=object)
        labels = labels if kind == "series" else labels.to_numpy()
    check = check_dataset(drawn.images, labels, names=np.array([f"{i}.png" for i in range(120)]))
    assert sum(check.classes.values()) == 120
    assert len(check.shortcuts) >= 4


def test_groups_are_not_split_by_the_folds_of_shortcuts():
    """A border that tells the patient tells the class, if patients are on both sides."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(24), 10)
    labels = np.repeat(rng.permutation([0, 1] * 12), 10)
    images = rng.integers(100, 110, (240, 24, 24, 3)).astype(np.uint8)
    images[:, :3] = rng.integers(0, 255, (24, 1, 1, 3)).astype(np.uint8)[patients]
    apart = find_shortcuts(images, labels, patients)
    mixed = find_shortcuts(images, labels)
    assert max(one.auc for one in mixed) > 0.99
    assert not any(one.is_above_chance for one in apart if one.auc > 0.9)


@pytest.mark.thorough
def test_a_class_in_one_batch_alone_is_told():
    images = make_cells(400, n_classes=2, image_size=32, random_state=0).images // 2 + 100
    labels = np.arange(400) % 2
    tinted = np.flatnonzero(labels == 0)[:60]
    images[tinted, ..., 2] -= 80
    found = find_batches(images, labels)
    batch = int(np.bincount(found.codes[tinted]).argmax())
    assert found.codes[1] != batch
    assert (batch, 0) in [(b, label) for b, label, _ in found.pure]
    assert found.counts.sum() == 400
    check = check_dataset(images, labels)
    assert [f.severity for f in check.findings if f.kind == "batch"] == ["warning"]
    # A class that lacks in a batch is told as well.
    labels = np.where(found.codes == found.codes[1], labels, 2)
    labels[:10] = 2
    assert 2 not in [label for label, *_ in find_batches(images, labels).confined]
    assert {0, 1} >= {label for label, *_ in find_batches(images, labels).confined} != set()


# Labels


@pytest.mark.thorough
def test_swapped_labels_are_found(real_cells):
    images, labels = real_cells
    easy = np.isin(labels, ["eosinophil", "neutrophil", "platelet"])
    images, labels = images[easy], labels[easy]
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(labels), 10, replace=False)
    swapped = labels.copy()
    classes = np.unique(labels)
    for i in wrong:
        swapped[i] = classes[(np.searchsorted(classes, labels[i]) + 1) % len(classes)]
    features = images.reshape(-1, 7, 4, 7, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1) / 255
    p = cross_val_predict(
        LogisticRegression(max_iter=500), features, swapped, cv=3, method="predict_proba"
    )
    found = find_label_issues(swapped, p)
    assert np.isin(wrong, found.indices).mean() >= 0.6
    assert len(found) < 0.15 * len(labels)
    assert (np.diff(found.quality) >= 0).all()
    assert (found.given == swapped[found.indices]).all()
    assert list(found.to_frame()) == ["index", "given", "suggested", "quality"]
    check = check_dataset(images, swapped, probabilities=p)
    (told,) = [f for f in check.findings if f.kind == "label"]
    assert (told.indices == found.indices).all()


@pytest.mark.parametrize(
    ("p", "classes", "match"),
    [
        ([[0.5, 0.6], [0.5, 0.5]], None, "with the sum 1"),
        ([[1.0], [1.0]], None, "1 columns for 2 classes"),
        ([0.1, 0.2], None, "must have the shape"),
        ([[0.5, 0.5], [0.5, 0.5]], ["a", "c"], r"without a column of probabilities: \['b'\]"),
        ([[0.5, np.nan], [0.5, 0.5]], None, "with the sum 1"),
    ],
)
def test_wrong_probabilities(p, classes, match):
    with pytest.raises(ValueError, match=match):
        find_label_issues(["a", "b"], p, classes)


@pytest.mark.parametrize(
    ("find", "arguments", "match"),
    [
        (find_outliers, {"y": [0]}, "y has 1 entries for 3 images"),
        (find_outliers, {"threshold": 0}, "threshold must be above 0"),
        (find_batches, {"y": [0]}, "y has 1 entries"),
        (find_shortcuts, {"y": [0]}, "y has 1 entries"),
        (find_shortcuts, {"y": [0, 1, 0], "groups": [1]}, "groups has 1 entries"),
        (find_duplicates, {"groups": [1]}, "groups has 1 entries"),
        (find_duplicates, {"threshold": 2}, "threshold must be above 0 and at most 1"),
    ],
)
def test_wrong_arguments_are_told_before_files_are_read(drawn, tmp_path, find, arguments, match):
    files = [str(tmp_path / f"{i}.png") for i in range(3)]
    Image.fromarray(drawn.images[0]).save(files[0])
    for file in files[1:]:
        Path(file).write_bytes(b"no image")
    with pytest.raises(ValueError, match=match):
        find(files, **arguments)


# The whole


def kinds(check):
    return {one.kind: one.severity for one in check.findings}


def test_a_clean_data_set_passes(drawn):
    check = check_dataset(drawn.images, drawn.target)
    assert check.passed
    assert "copies" not in kinds(check)
    assert check.classes == {k: int((drawn.target == k).sum()) for k in (0, 1)}
    assert dict(check.facts)["Shape"] == "48 x 48, 3 channels"


def test_copies_across_parts_and_groups_invalidate_a_score(drawn):
    images = drawn.images.copy()
    images[100] = images[4][::-1]
    split = np.repeat(["train", "test"], 60)
    groups = np.arange(120) % 40
    check = check_dataset(images, drawn.target, groups, split)
    label = "two labels" if drawn.target[4] != drawn.target[100] else "copies across parts"
    assert kinds(check)[label] == "error"
    assert kinds(check)["groups across parts"] == "error"
    assert sum(check.parts["test"].values()) == 60
    frame = check.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert {4, 100} <= set(frame["index"])
    assert frame.advice.str.len().min() > 10


def test_many_copies_are_an_error_and_few_a_warning(drawn):
    images = np.concatenate([drawn.images, drawn.images[:10]])
    labels = np.concatenate([drawn.target, drawn.target[:10]])
    assert kinds(check_dataset(images, labels))["copies"] == "error"
    assert kinds(check_dataset(images[:121], labels[:121]))["copies"] == "warning"


def test_small_and_missing_classes_are_told(drawn):
    labels = drawn.target.astype(str)
    labels[:4] = "rare"
    split = np.array(["test"] * 10 + ["train"] * 110)
    found = kinds(check_dataset(drawn.images, labels, split=split))
    assert found["few images"] == "warning"
    assert found["unequal classes"] == "note"
    assert found["missing class"] == "error"


def test_files_that_cannot_be_read_are_a_finding(drawn, tmp_path):
    for i in range(40):
        folder = tmp_path / ("a" if i % 2 else "b")
        folder.mkdir(exist_ok=True)
        Image.fromarray(drawn.images[i]).save(folder / f"{i}.png")
    (tmp_path / "a" / "11.png").write_bytes(b"\x89PNG nothing")
    Image.fromarray(drawn.images[13][:, :20]).save(tmp_path / "a" / "13.png")
    cells = load_image_folder(tmp_path, load_images=False)
    check = check_dataset(cells.filenames, cells.target_names[cells.target])
    (unreadable,) = [f for f in check.findings if f.kind == "unreadable"]
    assert [check.names[i] for i in unreadable.indices] == [str(tmp_path / "a" / "11.png")]
    assert kinds(check)["aspect ratio"] == "warning"
    assert len(check.duplicates.clusters) == 40
    page = check.report(tmp_path / "check.html").read_text()
    assert "1 file cannot be read" in page
    (tmp_path / "none").mkdir()
    files = []
    for i in range(3):
        files.append(str(tmp_path / "none" / f"{i}.jpg"))
        (tmp_path / "none" / f"{i}.jpg").write_bytes(b"no")
    with pytest.raises(ValueError, match="None of the 3 images can be read"):
        check_dataset(files, [0, 1, 0])


def test_names_are_text_on_the_page(drawn, tmp_path):
    images = np.concatenate([drawn.images[:40], drawn.images[:2]])
    hostile = "<script>alert(1)</script>"
    labels = np.where(np.arange(42) % 2, hostile, '"><img src=x onerror=alert(2)>')
    names = [f"{hostile}{i}.png" for i in range(41)] + ["broken\udcff.png"]
    check = check_dataset(images, labels, names=names)
    page = check.report(tmp_path / "check.html", title=hostile).read_text()
    assert hostile not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def nuclei(n, rng):
    """Smooth, round nuclei that differ in shape alone."""
    y, x = np.mgrid[:96, :96]
    made = []
    for _ in range(n):
        (a, b), turn = rng.uniform(18, 30, 2), rng.uniform(0, np.pi)
        down, right = y - 48 + rng.normal(0, 3), x - 48 + rng.normal(0, 3)
        u = right * np.cos(turn) + down * np.sin(turn)
        v = down * np.cos(turn) - right * np.sin(turn)
        edge = np.sqrt((u / a) ** 2 + (v / b) ** 2) - 1
        made.append(220 - 140 / (1 + np.exp(12 * edge)) + rng.normal(0, 1.5, edge.shape))
    return np.clip(made, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["nuclei", "specks", "frame"])
def test_images_that_merely_look_alike_are_no_copies(kind, drawn):
    rng = np.random.default_rng(0)
    if kind == "nuclei":
        images = nuclei(150, rng)
    elif kind == "specks":
        images = rng.normal(210, 2, (20, 96, 96)).astype(np.uint8)
        for image, (top, left) in zip(images, rng.integers(8, 84, (20, 2)), strict=True):
            image[top : top + 4, left : left + 4] = 60
    else:
        images = drawn.images[:40].copy()
        images[:, :3] = images[:, -3:] = images[:, :, :3] = images[:, :, -3:] = 0
    assert len(find_duplicates(images)) == 0


def test_masks_beside_the_images_are_an_error(drawn):
    cells = drawn.images[:40]
    masks = np.where(cells.mean(axis=3, keepdims=True) < 170, 255, 0).repeat(3, axis=3)
    names = [f"a/{i}.png" for i in range(40)] + [f"a/{i}_mask.png" for i in range(40)]
    images = np.concatenate([cells, masks.astype(np.uint8)])
    labels = np.tile(["a", "b"], 40)
    found = check_dataset(images, labels, names=names)
    (finding,) = [one for one in found.findings if one.kind == "masks"]
    assert finding.severity == "error"
    assert set(finding.indices) >= set(range(40, 80))
    assert not any(f.kind == "masks" for f in check_dataset(cells, labels[:40]).findings)


def test_fields_of_many_cells_are_told(tmp_path):
    rng = np.random.default_rng(0)
    files, labels = [], []
    for i in range(8):
        files.append(tmp_path / f"{i}.png")
        labels.append("ab"[i % 2])
        Image.fromarray(rng.integers(0, 255, (700, 900, 3), np.uint8)).save(files[-1])
    found = check_dataset([str(f) for f in files], labels, image_shape=(96, 96, 3))
    (finding,) = [one for one in found.findings if one.kind == "fields"]
    assert "fields of many cells" in finding.message
    assert len(finding.indices) == 8
