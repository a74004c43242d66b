"""Save fitted models to files, and load them."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skcell._environment import software
from skcell._files import replace_file
from skcell.exceptions import ModelFileError
from skcell.persistence._container import (
    WEIGHTS,
    pack_container,
    read_container,
    unpack_container,
)


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about its model.

    Parameters
    ----------
    estimator : str
        The estimator with its parameters, as scikit-learn prints it.
    classes : list
        Labels that it predicts.
    image_shape : tuple of int or None
        Height, width and channels of the images that it takes.
    dtype : str or None
        Dtype of their pixels.
    software : dict of str to str
        Versions that it was trained with.
    training : dict
        What `skcell.save` was given about the training: data, split, scores.
    """

    estimator: str
    classes: list[Any]
    image_shape: tuple[int, int, int] | None
    dtype: str | None
    software: dict[str, Any]
    training: dict[str, Any]


def save(
    estimator: BaseEstimator,
    path: str | os.PathLike[str],
    *,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Save a fitted model to one file.

    The file holds data alone: weights as safetensors [1]_, estimators of scikit-learn as skops
    files, and the rest as JSON. No code runs when it is loaded, so that a model can be passed on.
    It does not depend on the Keras backend. The state of the optimizer is not stored: if training
    goes on after loading, its moving averages start anew.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier of skcell, or a pipeline or estimator of scikit-learn, imbalanced-learn
        or skcell around one. Of a search, save its ``best_estimator_``.
    path : str or path-like
        The file, usually named ``*.skcell``. It is replaced if it exists, and never half written.
    training : mapping, default=None
        What should be kept beside the model, such as its scores; JSON values.

    Raises
    ------
    ModelFileError
        If the estimator has parts that are no data, such as a network, loss or function of yours.
    NotFittedError
        If the estimator is not fitted.

    See Also
    --------
    load : Load the file.
    export : Write files for other runtimes, which need no skcell.

    References
    ----------
    .. [1] https://huggingface.co/docs/safetensors

    Examples
    --------
    >>> import tempfile
    >>> import skcell
    >>> from skcell.datasets import make_cells
    >>> cells = make_cells(80, n_classes=2, image_size=32, random_state=0)
    >>> clf = skcell.CellCNNClassifier(filters=(8, 8), epochs=2, random_state=0)
    >>> clf = clf.fit(cells.images, cells.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skcell.save(clf, f"{folder}/cells.skcell")
    ...     loaded = skcell.load(f"{folder}/cells.skcell")
    >>> bool((loaded.predict(cells.images) == clf.predict(cells.images)).all())
    True
    """
    from safetensors.numpy import save as pack

    import skcell.persistence._estimators  # noqa: F401 # adds them to the kinds of values
    from skcell.persistence._values import Store, encode

    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"Expected a fitted estimator, got a {type(estimator).__name__}.")
    check_is_fitted(estimator)
    store = Store()
    described = encode(estimator, store, type(estimator).__name__)
    if described["kind"] not in ("skcell", "sklearn"):
        raise ModelFileError(
            f"{type(estimator).__name__} contains no estimator of skcell; keep it with skops or "
            "joblib."
        )
    info = asdict(describe_model(estimator, training))
    shape, dtype = info.pop("image_shape"), info.pop("dtype")
    images = None if shape is None else {"shape": shape, "dtype": dtype}
    strange = [c for c in info["classes"] if not isinstance(c, (str, bool, int, float))]
    if strange:
        raise ModelFileError(
            f"The labels are of the type {type(strange[0]).__name__}, which a model file cannot "
            "hold. Train with text or numbers as labels: y.astype(str)."
        )
    manifest = {**info, "images": images, "model": described}
    members = {WEIGHTS: pack(store.tensors)}
    members |= {f"part-{i}.skops": part for i, part in enumerate(store.parts)}
    content = pack_container(manifest, members)
    try:  # a file that cannot be read back must not replace one that can
        _decode(*unpack_container(BytesIO(content), len(content)))
    except Exception as error:
        raise ModelFileError(
            f"The model was not written to {os.fspath(path)!r}, because it could not be loaded "
            f"again: {error}"
        ) from error
    replace_file(Path(path).expanduser(), content)


def describe_model(estimator: Any, training: Mapping[str, Any] | None = None) -> ModelInfo:
    """Return what the file of a fitted model says about it."""
    from skcell.classifiers import find_image_spec

    spec = find_image_spec(estimator)
    return ModelInfo(
        estimator=repr(estimator),
        classes=[c.item() if hasattr(c, "item") else c for c in getattr(estimator, "classes_", ())],
        image_shape=None if spec is None else spec.shape,
        dtype=None if spec is None else spec.dtype,
        software=software(),
        training=dict(training or {}),
    )


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model that `save` wrote.

    Nothing in the file is run, and these are checked first: hashes, sizes and types; whether the
    weights are finite and those of the network; whether classes, images, temperature and prediction
    sets belong to it. The network is built when it first predicts.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    estimator
        The fitted model. On the same Keras backend its predictions are those of the saved one, to
        the last bit.

    Raises
    ------
    ModelFileError
        If the file is damaged, was changed, is not a model, or needs a newer skcell.
    OSError
        If the file cannot be opened.

    See Also
    --------
    save : Save a model.
    read_info : Read what a file says about its model, without loading it.
    """
    from safetensors import SafetensorError

    path = Path(path).expanduser()
    manifest, members = read_container(path)
    try:
        estimator = _decode(manifest, members)
    except (ModelFileError, ImportError) as error:
        raise type(error)(f"{path} cannot be loaded: {error}") from error
    except (Exception, SafetensorError) as error:
        raise ModelFileError(
            f"{path} cannot be loaded: it does not describe a model of skcell "
            f"({type(error).__name__}: {error})."
        ) from error
    if not isinstance(estimator, BaseEstimator):
        raise ModelFileError(f"{path} cannot be loaded: it holds no estimator.")
    return estimator


def _decode(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> Any:
    """Return the estimator that a container describes."""
    from safetensors.numpy import load as unpack

    import skcell.persistence._estimators  # noqa: F401 # adds them to the kinds of values
    from skcell.persistence._values import Store, decode

    parts = [members[f"part-{i}.skops"] for i in range(len(members) - 1)]
    store = Store(unpack(members[WEIGHTS]), parts)
    return decode(manifest["model"], store)


def read_info(path: str | os.PathLike[str]) -> ModelInfo:
    """Read what a model file says about its model, without loading Keras.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ModelInfo
        Estimator, classes, images, versions and training.

    Raises
    ------
    ModelFileError
        If the file is not a model.
    OSError
        If the file cannot be opened.
    """
    path = Path(path).expanduser()
    manifest, _ = read_container(path, manifest_only=True)
    try:
        images = manifest["images"] or {}
        return ModelInfo(
            estimator=str(manifest["estimator"]),
            classes=list(manifest["classes"]),
            image_shape=tuple(images["shape"]) if images else None,
            dtype=images.get("dtype"),
            software=dict(manifest["software"]),
            training=dict(manifest["training"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFileError(f"{path} does not describe its model ({error}).") from error
