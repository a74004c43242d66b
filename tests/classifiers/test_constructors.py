"""Constructors are written out in each class; here they are held together."""

import inspect

import pytest
from sklearn.utils._testing import assert_docstring_consistency

from skcell import CellCNNClassifier, SEInceptionResNetClassifier, TransferClassifier
from skcell.classifiers import BaseCellClassifier

CLASSIFIERS = [CellCNNClassifier, SEInceptionResNetClassifier, TransferClassifier]
SHARED = list(inspect.signature(BaseCellClassifier).parameters)


def test_the_base_has_no_defaults_of_its_own():
    parameters = inspect.signature(BaseCellClassifier).parameters.values()
    assert all(p.default is p.empty and p.kind is p.KEYWORD_ONLY for p in parameters)


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_shared_parameters_come_last_in_one_order_with_one_type_and_default(cls):
    own, first = inspect.signature(cls).parameters, inspect.signature(CLASSIFIERS[0]).parameters
    base = inspect.signature(BaseCellClassifier).parameters
    assert list(own)[-len(SHARED) :] == SHARED
    for name in SHARED:
        assert own[name].annotation == base[name].annotation, name
        # A pretrained network knows other light already, and its head needs a lower rate.
        if name not in ("augmentation", "learning_rate"):
            assert own[name].default == first[name].default, name
        assert own[name].default is not inspect.Parameter.empty, name


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_every_parameter_is_checked(cls):
    assert set(cls._parameter_constraints) == set(inspect.signature(cls).parameters)


def test_shared_parameters_are_described_alike():
    # A transfer classifier has two phases, and a pretrained network keeps its precision.
    different = {"augmentation", "learning_rate", "epochs", "dtype_policy"}
    alike = [name for name in SHARED if name not in different]
    assert_docstring_consistency(CLASSIFIERS, include_params=alike)
    assert_docstring_consistency(CLASSIFIERS[:2], include_params=SHARED)
    assert_docstring_consistency(
        CLASSIFIERS, include_attrs=["classes_", "n_features_in_", "image_shape_"]
    )
