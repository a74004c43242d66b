"""Two sets of images: no shift between halves of one set, and one that is named where it is."""

import numpy as np
import pytest

from skcell.calibration import measure_shift


@pytest.fixture(scope="module")
def images():
    from skcell.datasets import make_cells

    return make_cells(300, n_classes=4, image_size=24, random_state=0).images


def test_halves_of_one_set_are_not_shifted(images):
    shift = measure_shift(images[:150], images[150:])
    assert not shift.shifted
    assert shift.n_images == 150
    assert max(map(abs, shift.differences.values())) < 0.5


def test_a_bluer_lamp_is_named(images):
    bluer = (images[150:] * np.array([0.9, 1, 1])).astype(np.uint8)
    shift = measure_shift(images[:150], bluer)
    assert shift.shifted
    name, difference = next(iter(shift.differences.items()))
    assert "red" in name
    assert difference < -0.5
    assert name in str(shift)


def test_features_and_grey_images(images):
    features = images.reshape(300, -1)[:, :7].astype(float)
    assert measure_shift(features[:150], features[150:] + 100).shifted
    grey = images[..., 0]
    assert next(iter(measure_shift(grey[:150], grey[150:]).differences)).endswith("channel 0")


def test_another_patient_is_no_shift_if_patients_differ_as_much(images):
    light = np.repeat([0.7, 0.8, 0.9, 1.0], 50)
    patients = (images[:200] * light[:, None, None, None]).astype(np.uint8)
    other = (images[200:] * 0.75).astype(np.uint8)
    assert measure_shift(patients[100:], other).shifted
    assert not measure_shift(patients, other, groups=np.repeat(range(4), 50)).shifted


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda x: x[:5], "at least 10 images"),
        (lambda x: x[..., 0], "same number of channels"),
        (lambda x: x[0, 0, 0], "Expected images"),
        (lambda x: np.where(x == x.max(), np.nan, x), "NaN"),
    ],
)
def test_what_cannot_be_compared_is_said(images, other, message):
    with pytest.raises(ValueError, match=message):
        measure_shift(images[:150], other(images[150:]))
